"""What a run leaves for people to look at.

`space_time` draws who sent what to whom, `latency` how long operations took, and `page` says the verdict and has both.
They return text and write no file.
"""

from ._latency import latency as latency
from ._page import PageSummary as PageSummary, page as page
from ._space_time import LIMIT as LIMIT, space_time as space_time

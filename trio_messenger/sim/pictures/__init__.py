"""What a run leaves for people to look at.

`space_time` draws who sent what to whom, `latency` how long operations took, and `rate` how many were completed in a
second; `page` says the verdict and has all three. They return text and write no file.
"""

from ._latency_chart import latency as latency
from ._page import PageSummary as PageSummary, page as page
from ._rate_chart import rate as rate
from ._space_time import LIMIT as LIMIT, space_time as space_time

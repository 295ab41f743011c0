"""Pictures and the page of a run, for people.

`space_time` draws the messages between nodes over time, `latency` draws how long operations took, and `rate` draws how
many were completed per second. `linear` draws the operations that no order explains. `page` shows the verdict and the
pictures of a run. These functions return text; they do not write files.
"""

from ._latency_chart import latency as latency
from ._linear import linear as linear
from ._page import PageSummary as PageSummary, page as page
from ._picture import Picture as Picture
from ._rate_chart import rate as rate
from ._space_time import LIMIT as LIMIT, space_time as space_time

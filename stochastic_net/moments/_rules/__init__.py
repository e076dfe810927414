"""How the moments of each operation are had: one family of operations a file, all registered."""

from stochastic_net.moments._rules import control as control
from stochastic_net.moments._rules import elementwise as elementwise
from stochastic_net.moments._rules import extremes as extremes
from stochastic_net.moments._rules import linear as linear
from stochastic_net.moments._rules import products as products
from stochastic_net.moments._rules import scan as scan

"""Every entry of the catalogue, as it is without options: what "auto" tries."""

from stochastic_net.estimators._antithetic import antithetic
from stochastic_net.estimators._arm import arm
from stochastic_net.estimators._bonnet_price import bonnet_price
from stochastic_net.estimators._disarm import disarm
from stochastic_net.estimators._double_control_variate import double_control_variate
from stochastic_net.estimators._enumerate_support import enumerate_support
from stochastic_net.estimators._gumbel_rao import gumbel_rao
from stochastic_net.estimators._gumbel_softmax import gumbel_softmax
from stochastic_net.estimators._leave_one_out import leave_one_out
from stochastic_net.estimators._measure_valued import measure_valued
from stochastic_net.estimators._pathwise import pathwise
from stochastic_net.estimators._rebar import rebar
from stochastic_net.estimators._reinmax import reinmax
from stochastic_net.estimators._rejection import rejection
from stochastic_net.estimators._score_function import score_function
from stochastic_net.estimators._straight_through import straight_through
from stochastic_net.estimators._without_replacement import without_replacement

CATALOGUE = (
    pathwise,
    antithetic(pathwise),
    bonnet_price,
    score_function,
    leave_one_out,
    enumerate_support,
    without_replacement,
    measure_valued,
    disarm,
    arm,
    double_control_variate,
    rebar,
    rejection,
    straight_through,
    gumbel_softmax,
    gumbel_rao,
    reinmax,
)

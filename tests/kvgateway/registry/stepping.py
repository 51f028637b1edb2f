"""The modes that steps lead through, and two gateways that know each other."""

from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import Registered

SINGLE, SHADOW = Mode(Stage.SINGLE, Side.S3), Mode(Stage.SHADOW, Side.S3)
RAMP, BOTH = Mode(Stage.ACTIVE, Side.S3, 10), Mode(Stage.ACTIVE, Side.S3)
SHADOW_KVSP, SINGLE_KVSP = Mode(Stage.SHADOW, Side.KVSP), Mode(Stage.SINGLE, Side.KVSP)


async def two_gateways(homes: TwoHomes) -> tuple[Registered, Registered]:
    one, two = Registered(homes, 1), Registered(homes, 2)
    for each in (one, two):
        await each.looks()
    return one, two

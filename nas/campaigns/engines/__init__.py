"""What carries out the trials of a campaign."""

from nas.registry import Registry

ENGINES = Registry(
    "engine",
    {
        "ray": "nas.campaigns.engines.tune:TuneEngine",
        "serial": "nas.campaigns.engines.serial:SerialEngine",
        "simulated": "nas.campaigns.engines.simulated:SimulatedCluster",
    },
    subclass_of="nas.campaigns.engines.base:Engine",
)
"""What ``engine.name`` may say."""

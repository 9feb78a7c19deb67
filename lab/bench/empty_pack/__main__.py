"""A pack of one policy that looks at every resource and says nothing: the least that a pack can cost."""

from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy


def _nothing(args: object, report: object) -> None:
    """Say nothing."""


PolicyPack(
    name="empty",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[ResourceValidationPolicy(name="nothing", description="Says nothing.", validate=_nothing)],
)

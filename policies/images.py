"""A container image is named with a tag that stays what it is, or with a digest.

In Helm values an image is one text (``image: quay.io/minio/minio:RELEASE...``) or a mapping with ``repository`` and
``tag``. A mapping without ``tag`` takes the chart's own, which the chart's pin fixes; an empty one is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.model import UNKNOWN, Config, Leaf, Plan, Policy, Resource, Violation, leaves, listed, reveal

_IMAGE_KEYS = frozenset({"image", "imageName"})
_TAG_KEYS = ("tag", "version", "imageTag")
_DIGEST_KEYS = ("digest", "sha")
_REMEDY = "name a released version or a digest"


def check(resource: Resource, plan: Plan, config: Config) -> Iterator[Violation]:
    """Report each image without a tag, with an empty one, or with ``latest``."""
    release = resource.type.endswith(":Release")
    exempt = tuple(map(str, listed(config, "allowed")))
    subject = {"values": resource.props.get("values")} if release else resource.props
    for leaf in leaves(subject):
        reason = _image_wrong(leaf, release) if leaf.key in _IMAGE_KEYS else _tag_wrong(leaf) if release else None
        if reason and not (exempt and _name(leaf).startswith(exempt)):
            yield Violation(f"{leaf.path}: {_name(leaf)} {reason}; {_REMEDY}")


def _image_wrong(leaf: Leaf, release: bool) -> str | None:
    if leaf.value is UNKNOWN:
        return "is not known before the update"
    if not isinstance(leaf.value, str) or not leaf.value:
        return None
    name, _, digest = leaf.value.partition("@")
    if digest or (release and any(key in leaf.siblings for key in (*_TAG_KEYS, *_DIGEST_KEYS))):
        return None
    return _wrong(name.rsplit("/", 1)[-1].partition(":")[2])


def _tag_wrong(leaf: Leaf) -> str | None:
    """Judge the tag beside a ``repository`` or ``image`` in Helm values."""
    if leaf.key not in _TAG_KEYS or not ({"repository", *_IMAGE_KEYS} & leaf.siblings.keys()):
        return None
    if any(reveal(leaf.siblings.get(key)) for key in _DIGEST_KEYS):
        return None
    if leaf.value is UNKNOWN:
        return "has a tag that is not known before the update"
    return _wrong("" if leaf.value is None else str(leaf.value))


def _wrong(tag: str) -> str | None:
    if not tag:
        return "has no tag, so it is whatever the registry holds that day"
    return "has the tag latest, which moves" if tag == "latest" else None


def _name(leaf: Leaf) -> str:
    if leaf.key in _IMAGE_KEYS:
        return "the image" if leaf.value is UNKNOWN else str(leaf.value)
    named = leaf.siblings.get("repository") or leaf.siblings.get("image")
    return str(reveal(named))


POLICY = Policy(
    name="images",
    level="mandatory",
    description="Container images have a tag other than latest, or a digest.",
    types=frozenset({"kubernetes:"}),
    check=check,
    config={
        "allowed": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "beginnings of image names that need no tag, e.g. registry.example/dev/",
        }
    },
)

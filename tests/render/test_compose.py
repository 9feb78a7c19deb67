"""The Compose file against a golden file (``GOLDEN=write`` writes it anew), and what must hold for any stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import versions
from cluster.render.compose import VARIABLES, compose
from cluster.settings.model import Secrets
from tests.render.stacks import PASSWORDS, settings

GOLDEN = Path(__file__).parent / "golden-values" / "local-stack.compose.yaml"
MIRROR = "registry.site:5000/cloud"


def services(**changes: Any) -> dict[str, Any]:
    return dict(compose(settings(**changes)).document["services"])


def test_the_compose_file_is_the_golden_one() -> None:
    text = yaml.safe_dump(dict(compose(settings()).document), sort_keys=False, width=120)
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_it_holds_no_password_of_the_settings_and_names_a_variable_for_each() -> None:
    made = compose(settings())
    text = yaml.safe_dump(dict(made.document))
    assert not [password for password in PASSWORDS.values() if password in text]
    assert set(VARIABLES) == set(Secrets.made())
    assert all(f"${{{name}}}" in text for name in made.variables)


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_the_clusters_and_come_from_the_mirror_where_there_is_one() -> None:
    assert {service["image"] for service in services().values()} <= set(versions.IMAGES.values())
    mirrored = {service["image"] for service in services(registry={"mirror": MIRROR}).values()}
    assert all(image.startswith(f"{MIRROR}/") for image in mirrored)


def test_the_transfers_bucket_is_made_and_allowed() -> None:
    document = compose(settings(transfer={"source": "/beegfs", "bucket": "trained"})).document
    assert document["services"]["object-store-setup"]["environment"]["BUCKETS"] == "mlflow trained"
    assert "arn:aws:s3:::trained/*" in document["configs"]["policy-mlops"]["content"]


@pytest.mark.parametrize("name", ["database", "object-store", "mlflow", "model"])
def test_what_runs_on_is_asked_how_it_does(name: str) -> None:
    assert services()[name]["healthcheck"]["test"][0] == "CMD"

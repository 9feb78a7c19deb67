"""A model's way: trained on the HPC cluster, transferred, registered, served."""

from __future__ import annotations

from cluster.monitoring.dashboards.panels import board, listing, number, series
from cluster.monitoring.names import MODELS, STATE, TEXTFILES
from cluster.textfile import DURATION, LAST_SUCCESS, MODEL_VERSIONS, SUCCESS

_COUNTED = f'{MODEL_VERSIONS}{{job=~"{TEXTFILES}"'
_TASK = f'job=~"{TEXTFILES}", task="transfer"'
_STATE = f'job="{STATE}", namespace="{MODELS}"'


def board_() -> str:
    """Return the dashboard."""
    ready = f"kube_deployment_status_replicas_available{{{_STATE}}}"
    stages = ("trained", "transferred", "registered")
    return board(
        "Model pipeline",
        "Versions of models by the stage that they have reached, by the last transfer's count, and what is served.",
        [
            (
                "Now",
                [
                    *(number(f"Versions {stage}", f'sum({_COUNTED}, stage="{stage}"}})') for stage in stages),
                    number("Models served", f"count({ready} > 0) or vector(0)", good_from=1),
                    number("Versions refused", f'sum({_COUNTED}, stage="refused"}})', bad_from=1),
                    number(
                        "Since the last transfer", f"max(time() - {LAST_SUCCESS}{{{_TASK}}})", "s", bad_from=3 * 3600
                    ),
                ],
            ),
            (
                "Over time",
                [
                    series(
                        "Versions",
                        [
                            (f"sum by (stage) ({_COUNTED}}})", "{{stage}}"),
                            (f"count({ready} > 0)", "models served"),
                        ],
                        about="what is not transferred waits or was refused: cloudctl models sync --dry-run",
                    ),
                    series("Transfer: how long it took", [(f"{DURATION}{{{_TASK}}}", "{{stack}}")], "s"),
                    series("Transfer: ended well", [(f"{SUCCESS}{{{_TASK}}}", "{{stack}}")]),
                    listing("Replicas of each model", ready),
                ],
            ),
        ],
    )

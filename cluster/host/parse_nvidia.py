"""Parser for nvidia-smi, and GPUs put together from it, from the PCI listing and from the table of known cards."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.host.cards import CARDS
from cluster.host.model import GpuFacts
from cluster.host.parse_pci import PciFunction
from cluster.types import mib, parse_pci


@dataclass(frozen=True)
class SmiRow:
    """A row of nvidia-smi; None where it says N/A. Memory in MiB."""

    model: str
    serial: str | None
    uuid: str | None
    compute_capability: str | None
    memory_mib: int | None


def parse_nvidia_smi(text: str) -> dict[str, SmiRow]:
    """Return address -> row of ``--query-gpu=pci.bus_id,name,serial,uuid,compute_cap,memory.total
    --format=csv,noheader,nounits``; a row that does not look so is left out."""
    rows = {}
    for fields in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(fields) != 6:
            continue
        bus, model, serial, uuid, capability, memory = (field.strip() for field in fields)
        match = re.fullmatch(r"0{4}([0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7])", bus.lower())
        if match:
            rows[parse_pci(match[1])] = SmiRow(
                model=model,
                serial=_known(serial),
                uuid=_known(uuid),
                compute_capability=capability if re.fullmatch(r"[0-9]+\.[0-9]+", capability) else None,
                memory_mib=int(memory) if re.fullmatch(r"[1-9][0-9]{0,9}", memory) else None,
            )
    return rows


def gpus_of(functions: Iterable[PciFunction], rows: Mapping[str, SmiRow]) -> tuple[GpuFacts, ...]:
    """Return the NVIDIA GPUs among PCI functions; the table of cards fills in where no NVIDIA driver could be asked."""
    return tuple(_gpu(each, rows.get(each.address)) for each in functions if each.is_nvidia_gpu)


def _gpu(function: PciFunction, row: SmiRow | None) -> GpuFacts:
    card = CARDS.get(function.vendor_device)
    memory = (row and row.memory_mib) or (card and card.memory_mib)
    return GpuFacts(
        address=function.address,
        vendor_device=function.vendor_device,
        model=(row.model if row else None) or (card.model if card else None) or function.name or "NVIDIA GPU",
        serial=row.serial if row else None,
        uuid=row.uuid if row else None,
        compute_capability=(row and row.compute_capability) or (card.compute_capability if card else None),
        memory=mib(f"{memory}MiB") if memory else None,
        driver=function.driver,
        iommu_group=function.group,
    )


def _known(text: str) -> str | None:
    return None if text in {"", "0", "[N/A]", "N/A", "[Not Supported]", "[Unknown Error]"} else text

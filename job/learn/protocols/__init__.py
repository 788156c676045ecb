"""Protocols by name: each chooses training and scored pictures. An entry is one file and one line here."""

from typing import TYPE_CHECKING

from job.registry import Registry

if TYPE_CHECKING:
    from job.learn.protocols.base import Protocol

PROTOCOLS: "Registry[Protocol]" = Registry(
    "protocol",
    {
        "standard": "job.learn.protocols.standard:STANDARD",
        "rotation": "job.learn.protocols.rotation:ROTATION",
        "few-shot": "job.learn.protocols.few_shot:FEW_SHOT",
        "robustness": "job.learn.protocols.robustness:ROBUSTNESS",
    },
)

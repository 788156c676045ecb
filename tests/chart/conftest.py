import shutil
from pathlib import Path

import pytest
from absent import absent
from chart import render_script
from kubernetes_schemas import Schemas


def needed(tool: str) -> str:
    """Path of a tool; without it a user's run skips, and a run in CI fails."""
    path = shutil.which(tool) if tool == "go" else render_script.find_tool(tool)
    if not path:
        absent(f"{tool} is not installed (or name it in FRUITS_{tool.upper()})")
    return path


@pytest.fixture(scope="session", autouse=True)
def helm() -> str:
    return needed("helm")


@pytest.fixture(scope="session")
def kubeconform() -> str:
    return needed("kubeconform")


@pytest.fixture(scope="session")
def schemas() -> Path:
    """The folder with the JSON schemas of Kubernetes, the Spark operator and the Prometheus operator."""
    needed("go")
    return Schemas().folder()

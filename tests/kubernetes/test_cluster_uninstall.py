"""What is left when the chart goes: nothing."""

import kube


def test_an_uninstall_leaves_nothing_behind() -> None:
    if "fruits" not in kube.helm("list", "-q").split():
        kube.helm("install", "fruits", kube.CHART, *kube.values(), "--set", "notebook.enabled=true")
        kube.completed("fruits")
    kube.helm("uninstall", "fruits", "--wait", "--timeout", "300s")
    kube.until(240, "an empty namespace", lambda: not kube.left_over())

# ruff: noqa: INP001, T201 - a script; what it prints is its answer
"""What this pod's service account may do: exactly what is listed, here and in no other namespace."""

import json
import os
import sys
from pathlib import Path

from kubernetes import client, config

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    "pods",
    "pods/exec",
    "pods/log",
    "configmaps",
    "persistentvolumeclaims",
    "services",
    "secrets",
    "serviceaccounts",
    "serviceaccounts/token",
    "deployments.apps",
    "statefulsets.apps",
    "jobs.batch",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "sparkapplications.sparkoperator.k8s.io",
)


def allowed(api: client.AuthorizationV1Api, namespace: str, verb: str, resource: str) -> bool:
    name, _, group = resource.partition(".")
    name, _, sub = name.partition("/")
    asked = client.V1ResourceAttributes(
        namespace=namespace, verb=verb, group=group, resource=name, subresource=sub or None
    )
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=asked))
    return bool(api.create_self_subject_access_review(review).status.allowed)


def main() -> int:
    expected = {(resource, verb) for resource, verbs in json.loads(os.environ["CAN"]).items() for verb in verbs}
    namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text(encoding="utf-8")
    config.load_incluster_config()
    api = client.AuthorizationV1Api()
    wrong = 0
    for place in (namespace, "default" if namespace != "default" else "kube-system"):
        for resource in RESOURCES:
            for verb in VERBS:
                should = place == namespace and (resource, verb) in expected
                if allowed(api, place, verb, resource) != should:
                    wrong += 1
                    print(f"{'can not' if should else 'can'} {verb} {resource} in namespace {place}")
    print(f"{wrong} of {2 * len(RESOURCES) * len(VERBS)} answers differ from what is expected")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())

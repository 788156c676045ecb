"""The cluster as `submit` and `doctor` see it: documents in the form of `kubectl -o json`, faults as sentences."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from job.cluster.application import GROUP, KIND, PLURAL, VERSION
from job.engine.cache_folder import home_folder
from job.errors import UserError

Document = dict[str, Any]

INSTALL = (
    "helm install spark-operator spark-operator --repo https://kubeflow.github.io/spark-operator --namespace "
    "spark-operator --create-namespace --set 'spark.jobNamespaces={%s}' --wait"
)
_OF_APPLICATION = "sparkoperator.k8s.io/app-name"
_CONTROLLER = "app.kubernetes.io/name=spark-operator,app.kubernetes.io/component=controller"
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
# Seconds to connect and to answer.
_PATIENCE = (3, 10)
# A log without a line for so long is asked for again: a proxy between may have forgotten the connection.
LOG_SILENCE = 60


class Operator(NamedTuple):
    """The operator's controller: where it is, how many of it are ready, the namespaces it looks after (all: none
    named)."""

    namespace: str
    ready: int
    namespaces: tuple[str, ...]

    def looks_after(self, namespace: str) -> bool:
        """Whether this operator handles applications of a namespace; one without namespaces handles all."""
        return not self.namespaces or namespace in self.namespaces


def configured() -> bool:
    """Whether this machine knows a cluster: by a kubeconfig, or because it is a pod."""
    return _kubeconfig() is not None or _IN_CLUSTER.is_file()


def _kubeconfig() -> str | None:
    """The kubeconfig files, separated as on a PATH; None when none of them is there."""
    home = home_folder()
    files = os.environ.get("KUBECONFIG") or (str(home / ".kube" / "config") if home else "")
    return files if any(Path(file).expanduser().is_file() for file in files.split(os.pathsep) if file) else None


def connect() -> "Cluster":
    """The cluster of the current kubeconfig context, else the one that this pod is in. Raises UserError."""
    if not configured():
        named = os.environ.get("KUBECONFIG")
        where = f"KUBECONFIG names '{named}', which is not there" if named else "there is no ~/.kube/config"
        raise UserError(f"No cluster is known here, {where}: set KUBECONFIG to the file that kubectl uses.")
    from kubernetes import client, config

    configuration, files = client.Configuration(), _kubeconfig()
    from_file: Any = config.load_kube_config
    in_cluster: Any = config.load_incluster_config
    try:
        if files:  # named here, as the client reads KUBECONFIG once, when it is imported
            from_file(config_file=files, client_configuration=configuration, persist_config=False)
        else:
            in_cluster(client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError) as error:
        raise UserError(f"The kubeconfig can't be used: {_flat(error)}; `kubectl config view` shows it.") from error
    configuration.retries = 1
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each retry would be a line
    return Cluster(client.ApiClient(configuration))


class Cluster:
    """What is asked of the API server. Each method raises UserError within some 15 s when it does not work."""

    def __init__(self, api: Any) -> None:
        from kubernetes import client

        self.host = str(api.configuration.host)
        # Any, as what they give depends on _preload_content
        self._core: Any = client.CoreV1Api(api)
        self._apps: Any = client.AppsV1Api(api)
        self._custom: Any = client.CustomObjectsApi(api)
        self._version: Any = client.VersionApi(api)
        self._authorization: Any = client.AuthorizationV1Api(api)

    def version(self) -> str:
        """Version of the cluster's API server, such as v1.33.0."""
        with self._explained("asked for its version"):
            return str(self._version.get_code(_request_timeout=_PATIENCE).git_version)

    def serves_applications(self) -> bool:
        """Whether the operator's kind SparkApplication is known."""
        with self._explained("asked for its kinds"):
            try:
                found = self._custom.get_api_resources(GROUP, VERSION, _request_timeout=_PATIENCE)
            except Exception as error:
                if _status(error) == 404:
                    return False
                raise
        return any(resource.name == PLURAL for resource in found.resources)

    def operators(self) -> list[Operator] | None:
        """The operator's controllers; None where this user may not look for them."""
        with self._explained("asked for the operator"):
            try:
                answer = self._apps.list_deployment_for_all_namespaces(
                    label_selector=_CONTROLLER, _preload_content=False, _request_timeout=_PATIENCE
                )
            except Exception as error:
                if _status(error) == 403:
                    return None
                raise
        return [_operator(document) for document in json.loads(answer.data)["items"]]

    def has_namespace(self, namespace: str) -> bool | None:
        """Whether there is such a namespace; None where this user may not know."""
        with self._explained(f"asked for namespace '{namespace}'"):
            try:
                self._core.read_namespace(namespace, _preload_content=False, _request_timeout=_PATIENCE)
            except Exception as error:
                if _status(error) in (403, 404):
                    return None if _status(error) == 403 else False
                raise
        return True

    def may(self, verb: str, namespace: str, resource: str, group: str = "", subresource: str | None = None) -> bool:
        """Whether this user has a right."""
        from kubernetes import client

        wanted = client.V1ResourceAttributes(
            namespace=namespace, verb=verb, group=group, resource=resource, subresource=subresource
        )
        review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=wanted))
        with self._explained("asked for rights"):
            answer = self._authorization.create_self_subject_access_review(review, _request_timeout=_PATIENCE)
        return bool(answer.status.allowed)

    def create(self, document: Document) -> Document:
        """Makes the SparkApplication; a field that its kind does not have is an error."""
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        with self._explained(f"told to make {KIND} '{name}' in namespace '{namespace}'"):
            return dict(
                self._custom.create_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    namespace,
                    PLURAL,
                    document,
                    field_manager="fruits",
                    field_validation="Strict",
                    _request_timeout=_PATIENCE,
                )
            )

    def application(self, name: str, namespace: str) -> Document | None:
        """A SparkApplication as the cluster has it, or None where there is none of that name."""
        with self._explained(f"asked for {KIND} '{name}' in namespace '{namespace}'"):
            try:
                return dict(
                    self._custom.get_namespaced_custom_object(
                        GROUP, VERSION, namespace, PLURAL, name, _request_timeout=_PATIENCE
                    )
                )
            except Exception as error:
                if _status(error) == 404:
                    return None
                raise

    def delete(self, name: str, namespace: str) -> None:
        """Deletes the SparkApplication, and with it its pods; one that is gone already is no fault."""
        with self._explained(f"told to delete {KIND} '{name}' in namespace '{namespace}'"):
            try:
                self._custom.delete_namespaced_custom_object(
                    GROUP, VERSION, namespace, PLURAL, name, propagation_policy="Background", _request_timeout=_PATIENCE
                )
            except Exception as error:
                if _status(error) != 404:
                    raise

    def pods(self, name: str, namespace: str) -> list[Document]:
        """Driver and executors of a SparkApplication."""
        with self._explained(f"asked for pods in namespace '{namespace}'"):
            answer = self._core.list_namespaced_pod(
                namespace,
                label_selector=f"{_OF_APPLICATION}={name}",
                _preload_content=False,
                _request_timeout=_PATIENCE,
            )
        return list(json.loads(answer.data)["items"])

    def events(self, namespace: str) -> list[Document]:
        """Events of the namespace; none where this user may not see them."""
        with self._explained(f"asked for events in namespace '{namespace}'"):
            try:
                answer = self._core.list_namespaced_event(namespace, _preload_content=False, _request_timeout=_PATIENCE)
            except Exception as error:
                if _status(error) == 403:
                    return []
                raise
        return list(json.loads(answer.data)["items"])

    def log(self, pod: str, namespace: str, container: str, since: int | None) -> Iterator[str]:
        """Lines of a container's log, each with its time in front, as they come; `since` leaves out those older than
        so many seconds. It ends with the container, or when the connection breaks."""
        with self._explained(f"asked for the log of '{pod}'"):
            answer = self._core.read_namespaced_pod_log(
                pod,
                namespace,
                container=container,
                follow=True,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(_PATIENCE[0], LOG_SILENCE),
                **({"since_seconds": since} if since else {}),
            )
            try:
                rest = b""
                for piece in answer.stream(1 << 16, decode_content=True):
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
                if rest:
                    yield rest.decode(errors="replace")
            finally:
                answer.release_conn()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Raises what the client raises as one sentence."""
        import urllib3.exceptions
        from kubernetes.client.exceptions import ApiException

        try:
            yield
        except ApiException as error:
            raise UserError(self._sentence(error, doing)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreachableError(
                f"The cluster at {self.host} does not answer ({_reason(error)}): check that it "
                "runs and that this machine reaches it (`kubectl version`)."
            ) from error

    def _sentence(self, error: Any, doing: str) -> str:
        said = _message(error)
        match error.status:
            case 401:
                return f"The cluster at {self.host} does not know you: log in to it again (`kubectl auth whoami`)."
            case 403 if "is forbidden: User" in said or "cannot" in said:
                return f"The cluster does not let you, {doing}: {said}; ask for that right."
            case 404 if "namespaces" in said:
                return f"The cluster, {doing}, says that there is no such namespace: create it, or give --namespace."
            case 409:
                return f"The cluster, {doing}, says that there is one already: choose another --name."
            case 400 | 422:
                return f"The cluster, {doing}, refuses the manifest: {said}."
        return f"The cluster, {doing}, answers {error.status}: {said}."


class UnreachableError(UserError):
    """The API server did not answer: it may do so again."""


def _operator(document: Document) -> Operator:
    containers = document["spec"]["template"]["spec"]["containers"]
    flags = [flag for container in containers for flag in container.get("args", [])]
    named = next((flag.partition("=")[2] for flag in flags if flag.startswith("--namespaces=")), "")
    namespaces = tuple(name for name in named.strip('"').split(",") if name)
    return Operator(
        document["metadata"]["namespace"], int(document.get("status", {}).get("readyReplicas") or 0), namespaces
    )


def _status(error: Exception) -> int:
    return int(getattr(error, "status", 0) or 0)


def _message(error: Any) -> str:
    """What the API server says, without its envelope."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason or error.body or "nothing"
    return _flat(said).rstrip(".")[:400]


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error
    return _flat(inner).rpartition(": ")[2][:120] or type(inner).__name__


def _flat(value: object) -> str:
    return " ".join(str(value).split())

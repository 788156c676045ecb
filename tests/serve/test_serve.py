"""`fruits serve`, asked over a real socket: answers, refusals, limits, processes that die, and its end."""

import html
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from running import clean_environment, fruits
from serving import MODEL, V1, gone

from job import load_model


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a form with these files."""
    boundary = b"----fruits"
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="picture"; filename="%s"\r\n\r\n%s\r\n'
        % (boundary, name.encode(), content)
        for name, content in parts
    )
    return body + b"--%s--\r\n" % boundary, {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}


# ---- answers


def test_a_picture_in_the_body_gets_the_answer_of_the_model(server, picture) -> None:
    found = server.predict(picture)
    expected = load_model(MODEL).predict(picture).public()
    assert found.code == 200
    assert found.json["category"] == expected["category"]
    assert found.json["probability"] == pytest.approx(expected["probability"], abs=1e-9)
    assert [guess["category"] for guess in found.json["top"]] == [guess["category"] for guess in expected["top"]]


def test_parameters_say_how_many_guesses_and_below_which_probability_it_is_unknown(server, picture) -> None:
    assert len(server.predict(picture, "?top_k=1").json["top"]) == 1
    found = server.predict(picture, "?reject_below=1").json
    assert (found["status"], found["category"]) == ("unknown", None)
    assert found["reason"] == "No category is probable enough, or the picture is too far from all of them."


def test_several_pictures_come_as_a_form_and_each_has_its_answer(server, picture) -> None:
    body, headers = form(("a.jpg", picture), ("broken.jpg", b"nothing"), ("b.jpg", (V1 / "1.jpg").read_bytes()))
    found = server.ask("POST", "/predict", body, headers)
    assert found.code == 200
    assert [(each["picture"], each["status"]) for each in found.json["predictions"]] == [
        ("a.jpg", "ok"),
        ("broken.jpg", "not_an_image"),
        ("b.jpg", "ok"),
    ]


def test_a_form_without_a_usable_picture_has_the_code_of_its_reason(server) -> None:
    body, headers = form(("a.jpg", b"nothing"), ("b.jpg", b"neither"))
    assert server.ask("POST", "/predict", body, headers).code == 415
    body, headers = form(("a.jpg", b"nothing"), ("b.jpg", b""))
    assert server.ask("POST", "/predict", body, headers).code == 422


def test_all_kinds_of_pictures_that_a_run_reads_are_read(server) -> None:
    image = cv2.imread(str(V1 / "0.jpg"))
    for name, pixels in {
        "grey.png": cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
        "alpha.png": cv2.cvtColor(image, cv2.COLOR_BGR2BGRA),
        "deep.png": image.astype(np.uint16) * 257,
    }.items():
        done, data = cv2.imencode(Path(name).suffix, pixels)
        assert done
        assert server.predict(data.tobytes()).json["status"] == "ok", name


def test_health_readiness_and_the_model_are_told(server) -> None:
    assert server.ask("GET", "/healthz").json == server.ask("GET", "/readyz").json == {"status": "ok"}
    found = server.ask("GET", "/model").json
    assert found["categories"] == ["Corn", "Orange", "Raspberry"]
    assert found["digest"] == load_model(MODEL).digest


def test_metrics_count_requests_and_pictures(server, picture) -> None:
    def count() -> float:
        text = server.ask("GET", "/metrics").body.decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(lines['fruits_pictures_total{status="ok"}'])

    server.predict(picture)
    before = count()
    server.predict(picture)
    assert count() == before + 1


def test_the_page_and_the_description_need_no_network(server) -> None:
    page = server.ask("GET", "/")
    text = page.body.decode()
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Raspberry" in text
    assert "<script" not in text
    assert "//cdn" not in text
    assert f"'http://127.0.0.1:{server.port}/predict?top_k=3'" in text  # can be copied
    for host in ("x';rm -rf ~'", "<b>", ""):
        assert "http://ADDRESS/predict" in html.unescape(server.ask("GET", "/", None, {"Host": host}).body.decode())
    assert server.ask("GET", "/openapi.json").json["paths"]["/predict"]["post"]


# ---- refusals


@pytest.mark.parametrize(
    ("content", "code", "status"),
    [
        (b"", 400, "empty"),
        (b"no picture at all", 415, "not_an_image"),
        (b"GIF89a" + bytes(100), 415, "not_supported"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(server, content, code, status) -> None:
    found = server.predict(content)
    assert (found.code, found.json["status"]) == (code, status)
    assert found.json["reason"].endswith(".")


def test_a_truncated_picture_is_refused(server, picture) -> None:
    found = server.predict(picture[: len(picture) // 2])
    assert (found.code, found.json["status"]) == (422, "truncated")


@pytest.mark.parametrize(
    "query",
    ["?top_k=0", "?top_k=many", "?top_k=-1", "?reject_below=2", "?reject_below=nan", "?reject_unknown=2", "?x=1"],
)
def test_wrong_parameters_are_refused_with_a_sentence_that_names_them(server, picture, query) -> None:
    found = server.predict(picture, query)
    assert (found.code, found.json["status"]) == (400, "wrong_parameter")
    assert query[1:].partition("=")[0] in found.json["reason"]


def test_a_model_that_does_not_know_distances_refuses_to_be_asked_for_them(server, picture) -> None:
    found = server.predict(picture, "?reject_unknown=0.05")
    assert (found.code, found.json["status"]) == (400, "wrong_parameter")
    assert "does not know how far a picture is" in found.json["reason"]
    assert server.predict(picture, "?reject_unknown=0").code == 200


def test_unknown_paths_and_methods_are_refused(server) -> None:
    found = server.ask("GET", "/predictions")
    assert (found.code, found.json["status"]) == (404, "unknown_path")
    found = server.ask("GET", "/predict")
    assert (found.code, found.json["status"], found.headers["allow"]) == (405, "wrong_method", "POST")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"anything", "multipart/form-data"),
        (b"--x--\r\n", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="p"; filename="a.jpg"\r\n\r\nabc\r\n--x--\r\n',
            "multipart/form-data; boundary=x; charset=undefined",
        ),
    ],
)
def test_a_form_that_is_damaged_or_without_files_is_refused(server, body, kind) -> None:
    found = server.ask("POST", "/predict", body, {"Content-Type": kind})
    assert (found.code, found.json["status"]) == (400, "wrong_body")


@pytest.mark.parametrize(
    ("charset", "name", "said"),
    [
        ("utf-7", b"+2AA-.jpg", "?.jpg"),  # half of a pair, which is no character
        ("unicode_escape", rb"\ud800.jpg", "?.jpg"),
        ("raw_unicode_escape", rb"\udfff\ud800.jpg", "??.jpg"),
        ("utf-16", b"odd.jpg", "odd.jpg"),
        ("nonsense", b"a.jpg", "a.jpg"),
        ("hex", b"a.jpg", "a.jpg"),
        ("utf-8", "Pomme é 🍏.jpg".encode(), "Pomme é 🍏.jpg"),
        ("utf-8", b"\xff.jpg", "ÿ.jpg"),
    ],
)
def test_names_in_whatever_charset_come_back_as_text(server, picture, charset, name, said) -> None:
    for field in (b'name="p"; filename="%s"', b'name="%s"; filename=""'):
        body = b"--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n--x--\r\n" % (field % name, picture)
        kind = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        found = server.ask("POST", "/predict", body, kind)
        assert found.code == 200
        assert [each["picture"] for each in found.json["predictions"]] == [said]


def test_a_body_that_says_it_is_a_gigabyte_is_refused_before_it_is_sent(server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_gigabyte_that_does_not_say_so_is_refused_once_it_is_too_much(served) -> None:
    import psutil

    server = served("--max-body", "2m")
    before = psutil.Process(server.process.pid).memory_info().rss
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        part = b"10000\r\n" + bytes(65536) + b"\r\n"
        try:
            while sent < 1 << 30:
                client.sendall(part)
                sent += 65536
        except OSError:
            pass
    assert sent < 64 << 20
    assert psutil.Process(server.process.pid).memory_info().rss - before < 32 << 20
    assert server.ask("GET", "/healthz").code == 200


def test_a_body_that_does_not_come_is_given_up(served, picture) -> None:
    server = served("--deadline", "1s")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_headers_that_do_not_come_are_given_up(served) -> None:
    server = served("--deadline", "1s")
    for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            client.sendall(first)
            if first:
                assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"POST /pre")
            while client.recv(1000):
                pass  # until it is closed


def test_what_is_more_than_the_server_takes_on_is_refused_and_may_come_again(served, picture) -> None:
    server = served("--queue", "2", "--workers", "1")
    for pid in server.workers():
        os.kill(pid, signal.SIGSTOP)
    codes: list[tuple[int, str | None]] = []

    def ask() -> None:
        found = server.predict(picture)
        codes.append((found.code, found.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    while sum(code == 503 for code, _ in codes) < 3:
        time.sleep(0.05)
    assert server.ask("GET", "/readyz").code == 503
    assert server.ask("GET", "/healthz").code == 200
    for pid in server.workers():
        os.kill(pid, signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert sorted(codes) == [(200, None)] * 2 + [(503, "1")] * 3


# ---- processes that hang or die


def test_a_process_that_hangs_costs_its_request_alone(served, picture) -> None:
    server = served("--deadline", "4s", "--workers", "1")  # within which another process is started
    (pid,) = server.workers()
    os.kill(pid, signal.SIGSTOP)
    found = server.predict(picture)
    assert (found.code, found.json["status"], found.headers["retry-after"]) == (503, "late", "1")
    assert server.predict(picture).code == 200
    assert gone([pid])


def test_a_process_that_dies_is_replaced_and_nobody_notices(served, picture) -> None:
    server = served("--workers", "1")
    (pid,) = server.workers()
    os.kill(pid, signal.SIGKILL)
    assert server.predict(picture).code == 200
    assert server.workers() != [pid]
    assert b"fruits_worker_restarts 1.0" in server.ask("GET", "/metrics").body


# ---- beginning and end


def test_sigterm_ends_it_when_all_that_was_asked_is_answered(served, picture) -> None:
    server = served("--workers", "1")
    codes: list[int] = []
    asked, over = 0, threading.Event()

    def ask() -> None:
        nonlocal asked
        while not over.is_set():
            connection = server.connection()
            try:
                connection.connect()
            except OSError:
                return  # it takes on no connection any more
            asked += 1
            try:
                connection.request("POST", "/predict", picture, {"Content-Type": "image/jpeg"})
                codes.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException):
                codes.append(0)
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(codes) < 20:
        time.sleep(0.01)
    # those that are being worked on are answered; a connection that the kernel took on but the server did not may be
    # reset, which a service with --drain avoids
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(120) == 0
    over.set()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 0}
    assert codes.count(0) <= len(threads)


def test_a_drain_answers_all_and_says_that_it_is_not_ready(served, picture) -> None:
    server = served("--drain", "6s")
    server.process.send_signal(signal.SIGTERM)
    while server.ask("GET", "/readyz").code != 503:
        time.sleep(0.05)
    found = server.predict(picture)
    assert (found.code, found.headers["connection"]) == (200, "close")
    assert server.process.wait(120) == 0


def test_ctrl_c_is_an_interruption_and_leaves_no_process(served) -> None:
    server = served()
    workers = server.workers()
    assert len(workers) == 2
    assert server.end(signal.SIGINT) == 130
    assert gone(workers)


def is_fork_server(process: psutil.Process) -> bool:
    try:
        return "forkserver" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended since
        return False


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_ctrl_c_while_the_processes_are_started_is_told_in_one_sentence(pause) -> None:
    command = [sys.executable, "-m", "job", "serve", "--model", str(MODEL), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=clean_environment(), start_new_session=True
    ) as process:
        children: list[psutil.Process] = []
        while not any(map(is_fork_server, children)):
            assert process.poll() is None
            children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        said, code = process.stderr.read(), process.wait(180)
    assert (code, said.splitlines()[-1]) == (130, "fruits: Interrupted: nothing was left half-written.")
    assert "Traceback" not in said
    _, left = psutil.wait_procs(children, timeout=120)
    assert not left


def test_a_server_that_is_killed_leaves_no_process(served) -> None:
    server = served()
    workers = server.workers()
    server.process.kill()
    assert gone(workers)


def test_a_port_that_is_taken_is_told(server) -> None:
    found = fruits("serve", "--model", MODEL, "--port", server.port)
    assert found.code == 1
    assert f"can't listen at 127.0.0.1:{server.port}" in found.sentence()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--port", "70000"), 2, "--port is 70000: it must be a whole number from 0 to 65535"),
        (("--model", "nowhere"), 1, "There is no model at"),
        (("--model", "latest", "--out", "nowhere"), 1, "There is no whole run with a model"),
        (("--max-body", "32"), 2, "must be an amount of memory"),
        (("--host", "192.0.2.1"), 1, "can't listen at 192.0.2.1:"),
    ],
)
def test_a_server_that_can_not_start_says_why_in_one_sentence(tmp_path, arguments, code, said) -> None:
    given = arguments if "--model" in arguments else ("--model", MODEL, *arguments)
    found = fruits("serve", *given, folder=tmp_path)
    assert found.code == code
    assert said in found.sentence()

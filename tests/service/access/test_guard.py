"""Who may ask, at both doors: keys and their scopes, hosts, other sites' pages, spelt paths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import pytest
from fastapi.testclient import TestClient

from service.access.guard import Sites
from service.api.routing import EndpointRoute
from service.app import create_app
from service.errors import Misdirected
from service.settings import Settings, read_settings
from tests.digits import images
from tests.problems import check_every_answer, check_problem
from tests.server import DOORS, Answer, Server, serving, wait_until
from tests.service.access.keys import add, bearer, run

RAW = {"Content-Type": "application/octet-stream"}
BODY = images(1).tobytes()
SEVEN = Path(__file__).resolve().parents[2] / "pictures" / "seven.png"
ORIGIN = "https://a.example"
NEEDS = {
    "predict": ("POST /predict", "POST /read", "POST /feedback", "GET /models", "GET /v2"),
    "review": ("GET /review", "POST /review/a", "GET /feedback/export"),
    "evaluate": ("POST /evaluate?dataset=none", "GET /datasets/mnist-test/images/0.png"),
    "admin": ("POST /v2/repository/models/mnist/load", "POST /v2/repository/models/x/unload"),
    "metrics": ("GET /metrics", "HEAD /metrics"),
}
ASKED = [(scope, target) for scope, targets in NEEDS.items() for target in targets]
OPEN = ("/", "/page/main.js", "/docs", "/openapi.json", "/health/ready", "/v2/health/live")
NONE = 'Bearer realm="mnist-serve"'
WRONG = f'{NONE}, error="invalid_token"'


@dataclass
class Keyed:
    """A service with one key for each scope."""

    server: Server
    file: Path
    keys: dict[str, str]

    def ask(self, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        method, path = target.split()
        return self.server.request(method, path, body or None, headers)


@pytest.fixture(scope="module", params=DOORS)
def keyed(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    file = folder / "keys"
    keys = {scope: add(file, scope, scope) for scope in NEEDS}
    keys["expired"] = add(file, "expired", "predict", "--expires", "2020-01-01")
    flags = ("--keys", str(file), "--cors-origins", ORIGIN)
    with serving(models, folder / "log", *flags, door=request.param) as server:
        yield Keyed(server, file, keys)
        for secret in keys.values():
            assert secret not in server.stderr()
            assert secret not in server.get("/metrics", bearer(keys["metrics"])).body.decode()
            assert secret not in Path(f"/proc/{server.process.pid}/cmdline").read_text()


def check_refusal(answer: Answer, target: str, status: int, challenge: str, *texts: str) -> None:
    check_every_answer(answer)
    assert answer.status == status
    assert answer.headers["www-authenticate"] == challenge
    if answer.body:
        content = answer.json()
        detail = content["error"] if " /v" in target else check_problem(answer, status)["detail"]
        assert all(text in detail for text in texts), detail


@pytest.mark.parametrize(("scope", "target"), ASKED)
def test_each_endpoint_wants_a_key_with_its_scope(keyed: Keyed, scope: str, target: str) -> None:
    check_refusal(keyed.ask(target), target, 401, NONE, f"MNIST_OPEN={scope}", f"--scope {scope}")
    for wrong in (bearer("mnist_guessed"), {"X-API-Key": "mnist_guessed"}, bearer("")):
        check_refusal(keyed.ask(target, wrong), target, 401, WRONG, "revoked")
    check_refusal(keyed.ask(target, bearer(keyed.keys["expired"])), target, 401, WRONG)
    other = "metrics" if scope != "metrics" else "admin"
    challenge = f'{NONE}, error="insufficient_scope", scope="{scope}"'
    lacking = keyed.ask(target, bearer(keyed.keys[other]))
    check_refusal(lacking, target, 403, challenge, f"{other!r} lacks the scope {scope!r}")
    key = keyed.keys[scope]
    spaced = {"Authorization": f"Bearer   {key} "}
    for form in ({"Authorization": f"bearer {key}"}, {"X-API-Key": key}, spaced):
        assert keyed.ask(target, form).status not in (401, 403)


def test_health_the_page_and_the_documentation_need_no_key(keyed: Keyed) -> None:
    for path in OPEN:
        for headers in ({}, bearer("mnist_guessed")):
            assert keyed.ask(f"GET {path}", headers).status == 200, path


def test_every_route_declares_its_scope() -> None:
    routes = [route for route in create_app(Settings()).routes if isinstance(route, EndpointRoute)]
    scopes = {route.path: route.scope for route in routes}
    admin = {path for path, scope in scopes.items() if scope == "admin"}
    assert {path.rsplit("/", 1)[1] for path in admin} == {"load", "unload"}
    for path, scope in scopes.items():
        is_open = path in {"/", "/openapi.json"} or "/health/" in path
        assert (scope is None) == (is_open or path.startswith(("/page", "/docs"))), path


def test_headers_that_hold_no_key_or_too_much_let_nobody_in(keyed: Keyed) -> None:
    key = keyed.keys["predict"]
    basic = {"Authorization": "Basic bW5pc3Q6bW5pc3Q="}
    check_refusal(keyed.ask("GET /models", basic), "", 401, NONE)
    assert keyed.ask("GET /models", basic | {"X-API-Key": key}).status == 200
    for long in (bearer("k" * 60_000), {"X-API-Key": key + "k" * 60_000}, bearer(f"{key},{key}")):
        check_refusal(keyed.ask("GET /models", long), "", 401, WRONG)
    head = (
        f"GET /models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: {key[:9]}\r\n"
    )
    for tail in (f" {key[9:]}\r\n\r\n", f"X-API-Key: {key[9:]}\r\n\r\n"):  # folded, and in halves
        assert keyed.server.exchange((head + tail).encode())[9:12] in (b"400", b"401")


@pytest.mark.parametrize(
    "path", ["/v2%2Frepository/models/mnist/load", "/v2%2f", "/page%2Fmain.js", "/models%252F"]
)
def test_an_encoded_slash_is_nowhere(keyed: Keyed, path: str) -> None:
    for headers in ({}, bearer(keyed.keys["admin"])):
        check_problem(keyed.ask(f"POST {path}", headers), 404)


@pytest.mark.parametrize("path", ["/v2/%72epository/models/mnist/load", "/%76%32/repository/index"])
def test_a_path_is_decoded_before_its_rule(keyed: Keyed, path: str) -> None:
    assert keyed.ask(f"POST {path}").status == 401
    assert keyed.ask(f"POST {path}", bearer(keyed.keys["metrics"])).status == 403


def test_keys_are_taken_up_and_refused_while_the_service_runs(keyed: Keyed) -> None:
    new = add(keyed.file, "new", "predict")
    wait_until(lambda: keyed.ask("GET /models", bearer(new)).status == 200)
    assert run(keyed.file, "revoke", "new")[0] == 0
    wait_until(lambda: keyed.ask("GET /models", bearer(new)).status == 401)


def test_a_damaged_file_leaves_the_keys_in_force_and_is_told(keyed: Keyed) -> None:
    good, metrics = keyed.file.read_bytes(), bearer(keyed.keys["metrics"])

    def fault() -> bool:
        return b"mnist_keys_fault 1.0" in keyed.ask("GET /metrics", metrics).body

    keyed.file.write_bytes(good[:100])
    wait_until(fault)
    assert keyed.ask("GET /models", bearer(keyed.keys["predict"])).status == 200
    lines = keyed.server.stderr().splitlines()
    (told,) = [json.loads(line) for line in lines if "cannot be used" in line]
    assert told["level"] == "error"
    assert "damaged" in told["reason"]
    keyed.file.write_bytes(good)
    wait_until(lambda: not fault())


def test_without_settings_strangers_predict_and_change_nothing(models: Path) -> None:
    with TestClient(create_app(Settings(models=models))) as client:
        assert client.post("/predict", content=BODY, headers=RAW).status_code == 200
        for path in ("/models", "/metrics"):
            assert client.get(path, headers=bearer("any")).status_code == 200
        refused = client.post("/v2/repository/models/mnist/load")
        assert refused.status_code == 401
        assert "in a file that MNIST_KEYS names, and MNIST_OPEN=admin" in refused.json()["error"]
    with TestClient(create_app(Settings(models=models, open=frozenset()))) as client:
        assert client.post("/predict", content=BODY, headers=RAW).status_code == 401


def test_an_open_scope_needs_no_key_but_takes_no_wrong_one(models: Path, tmp_path: Path) -> None:
    key = add(tmp_path / "keys", "ops", "metrics")
    settings = Settings(models=models, keys=tmp_path / "keys", open=frozenset({"predict"}))
    with TestClient(create_app(settings)) as client:
        statuses = [
            client.get("/models", headers=headers).status_code
            for headers in ({}, bearer(key), bearer("mnist_guessed"))
        ]
    assert statuses == [200, 200, 401]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("LOCALHOST.", 200)),
        *(("digits.localhost:80", 200), ("evil.example", 421), ("localhost.evil.example", 421)),
        *(("0.0.0.0", 421), ("203.0.113.9:8000", 421), ("127.0.0.1.nip.io", 421)),
    ],
)
def test_on_loopback_only_loopback_names_are_answered_for(
    keyed: Keyed, host: str, status: int
) -> None:
    for target in ("GET /health/live", "GET /nowhere"):
        answer = keyed.ask(target, {"Host": host})
        assert answer.status == (404 if status == 200 and "nowhere" in target else status)
        if status == 421:
            check_problem(answer, 421, "MNIST_ALLOWED_HOSTS")


@pytest.mark.alone
def test_a_long_host_with_many_dots_costs_little() -> None:
    sites, cpu_s = Sites(Settings()), []
    for name in (b"a" * 60_000, b"a." * 30_000):
        begin = process_time()
        for _ in range(5):
            with pytest.raises(Misdirected):
                sites.check("GET", {b"host": name}, "")
        cpu_s.append(process_time() - begin)
    assert cpu_s[1] < 20 * cpu_s[0]


def test_hosts_that_are_named_are_answered_for_and_no_others(models: Path) -> None:
    hosts = ("digits.example", "*.example.org")
    with TestClient(create_app(Settings(models=models, allowed_hosts=hosts))) as client:
        got = {
            host: client.get("/health/live", headers={"Host": host}).status_code
            for host in ("digits.example:8443", "a.b.example.org", "example.org", "localhost")
        }
    assert got == dict(zip(got, (200, 200, 421, 421), strict=True))


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, True),
    ],
)
def test_what_pages_of_other_sites_send_is_refused(
    keyed: Keyed, headers: dict[str, str], allowed: bool
) -> None:
    headers = headers | {"Host": "localhost"} | bearer(keyed.keys["predict"])
    answer = keyed.ask("POST /predict", headers | RAW, BODY)
    assert answer.status == (200 if allowed else 403)
    if not allowed:
        check_problem(answer, 403, "MNIST_CORS_ORIGINS")
        assert "www-authenticate" not in answer.headers
    plain = keyed.ask("GET /models", headers)
    assert plain.status == 200
    is_named = headers.get("Origin") == ORIGIN
    for each in (answer, plain):
        assert (each.headers.get("access-control-allow-origin") == ORIGIN) == is_named


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Host": "evil.example"}, 421), ({}, 401)],
)
def test_a_refused_use_of_the_scope_admin_is_audited(
    keyed: Keyed, headers: dict[str, str], status: int
) -> None:
    path, name = "/v2/repository/models/mnist/load", f"refused-{status}"
    assert keyed.ask(f"POST {path}", headers | {"X-Request-ID": name}).status == status
    wait_until(lambda: keyed.server.stderr().count(f'"{name}"') == 2)
    lines = [line for line in keyed.server.stderr().splitlines() if f'"{name}"' in line]
    audit = next(line for line in map(json.loads, lines) if line["message"] == "audit")
    assert (audit["path"], audit["status"]) == (path, status)


def test_a_preflight_is_answered_for_named_origins_alone(keyed: Keyed) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = keyed.ask("OPTIONS /predict", asked)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
    refused = keyed.ask("POST /predict", {"Origin": ORIGIN})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    for other in ({**asked, "Origin": "https://b.example"}, {"Origin": ORIGIN}):
        assert keyed.ask("OPTIONS /predict", other).status == 405


def test_predict_sends_the_key_of_its_environment(keyed: Keyed) -> None:
    url = f"http://{keyed.server.host}:{keyed.server.port}"
    command = [sys.executable, "-m", "service.cli.predict", "--url", url, str(SEVEN)]
    for key, code, told in ((keyed.keys["predict"], 0, ""), ("mnist_guessed", 1, "revoked")):
        environment = {**os.environ, "MNIST_KEY": key}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert told in done.stderr
        assert key not in done.stderr
    assert read_settings({}, {"MNIST_KEY": "mnist_any"}) == Settings()


@pytest.mark.slow
def test_all_workers_follow_a_secret_and_share_its_last_good_state(
    models: Path, tmp_path: Path
) -> None:
    """As Kubernetes swaps it: the file is a link into a folder that is itself a link."""
    secret, file = tmp_path / "secret", tmp_path / "secret" / "keys"
    keys = []

    def publish(version: str) -> None:
        folder = secret / version
        folder.mkdir(parents=True)
        keys.append(add(folder / "keys", version, "predict"))
        (secret / "..new").symlink_to(version)
        (secret / "..new").rename(secret / "..data")

    publish("one")
    file.symlink_to("..data/keys")
    flags = ("--keys", str(file), "--workers", "2")
    with serving(models, tmp_path / "log", *flags) as server:

        def statuses(key: str) -> set[int]:
            return {server.get("/models", bearer(key)).status for _ in range(12)}

        assert statuses(keys[0]) == {200}
        publish("two")
        wait_until(lambda: statuses(keys[1]) == {200} and statuses(keys[0]) == {401})
        (secret / "two" / "keys").write_bytes(b"damaged")
        wait_until(lambda: server.stderr().count("cannot be used") == 2)
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        before = server.stderr().count('"serving"')
        workers = [p for p in children.read_text().split() if _is_worker(p)]
        os.kill(int(workers[0]), signal.SIGKILL)
        wait_until(lambda: server.stderr().count('"serving"') > before, 60)
        wait_until(lambda: statuses(keys[1]) == {200})
        assert statuses(keys[0]) == {401}


def _is_worker(process: str) -> bool:
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()


@pytest.mark.alone
def test_thousands_of_wrong_keys_cost_little_and_keep_nobody_out(keyed: Keyed) -> None:
    key, cpu_s = keyed.keys["predict"], {}
    for status, keys in ((401, map("mnist_{:043d}".format, range(2_000))), (200, [key] * 2_000)):
        sent = [predict_with(each) for each in keys]
        begin = _cpu_s(keyed.server.process.pid)
        for first in range(0, len(sent), 100):
            last = predict_with(key, "Connection: close\r\n")
            answers = keyed.server.exchange(b"".join([*sent[first : first + 100], last]))
            assert answers.count(b"HTTP/1.1 %d " % status) >= 100
        cpu_s[status] = _cpu_s(keyed.server.process.pid) - begin
    assert cpu_s[401] < cpu_s[200]


def predict_with(key: str, more: str = "") -> bytes:
    """A request for a prediction, as it is sent."""
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n{more}"
    head += "Content-Type: application/octet-stream\r\nContent-Length: 784\r\n\r\n"
    return head.encode() + BODY


def _cpu_s(process: int) -> float:
    stat = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

"""The figures: right over several workers, readable by Prometheus, the same layout everywhere."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from array import array
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from service.observe.exposition import Worker, exposition
from service.observe.metric_table import LOADS, SECONDS
from service.observe.metric_table import Metric as Declared
from service.observe.metrics import OTHER, Metrics
from tests.service.figures import figure

SERVES = {"model_info": ["1", "tiny", "cpu"]}
ENDPOINTS = ["/predict", "/evaluate", "/health/live"]

# One worker as a process of its own: it counts something and says where its slots lie.
WORKER = """
import json, sys
from pathlib import Path
from service.observe.metrics import Metrics
metrics = Metrics(Path(sys.argv[1]))
metrics.add_endpoints({endpoints}, {endpoints})
metrics.serving("2", "tiny", "cpu", True)
metrics.set("queue_rows", 5)
for _ in range(3):
    metrics.request("/predict", 200, 0.002)
metrics.predicted([7, 7, 1])
metrics.observe("batch_size", 16)
metrics.observe("inference_seconds", 0.001)
placed = [m for m in metrics._metrics.values() if m.slot]
layout = [(m.name, first := min(m.slot.values()), m.place(first)) for m in placed]
print(json.dumps(layout), flush=True)
sys.stdin.read()
"""


def families(metrics: Metrics) -> dict[str, Metric]:
    text = metrics.exposition()[0].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    made.add_endpoints(ENDPOINTS, ENDPOINTS)
    return made


def worker(shared: Path, endpoints: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER.format(endpoints=endpoints), str(shared)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_every_figure_of_the_contract_is_there(metrics: Metrics) -> None:
    metrics.serving("3", "cnn", "cpu", fallback=False)
    metrics.request("/predict", 200, 0.001)
    found = {name: family.type for name, family in families(metrics).items()}
    kinds = {
        "counter": ("requests", "rejected", "predictions", "doubts", "model_loads"),
        "histogram": ("request_seconds", "queue_seconds", "inference_seconds", "batch_size"),
        "gauge": (
            *("queue_rows", "model_info", "champion_fault", "keys_fault", "provider_fallback"),
            "workers",
        ),
    }
    expected = {f"mnist_{name}": kind for kind, names in kinds.items() for name in names}
    assert expected.items() <= found.items()
    others = {"cpu_seconds", "resident_memory_bytes", "open_fds", "start_time_seconds"}
    assert {f"process_{name}" for name in others} <= found.keys()


def test_every_metric_is_documented(metrics: Metrics) -> None:
    documented = re.findall(
        r"^\| `mnist_(\w+)` \| (\w+) \|",
        Path("docs/operations.md").read_text(),
        re.MULTILINE,
    )
    metrics.serving("3", "cnn", "cpu", fallback=False)
    own = {n: f.type for n, f in families(metrics).items() if not n.startswith("process_")}
    assert own == {f"mnist_{name.removesuffix('_total')}": kind for name, kind in documented}


def test_requests_are_counted_by_route_and_status(metrics: Metrics) -> None:
    for code in (200, 200, 422, 418):
        metrics.request("/predict", code, 0.001)
    metrics.request("/health/live", 200, 0.001)
    for endpoint, status, count in [
        ("/predict", "200", 2),
        ("/predict", "422", 1),
        ("/predict", "500", 1),  # counts every status that is not in STATUSES
        ("/health/live", "200", 1),
        ("/evaluate", "200", 0),
    ]:
        assert figure(metrics, "requests_total", endpoint=endpoint, status=status) == count


def test_what_strangers_send_adds_no_label(metrics: Metrics) -> None:
    metrics.request("/predict", 200, 0.1)
    before = metrics.exposition()[0].count(b"\n")
    metrics.request("/no/such/path", 404, 0.1)
    first = metrics.exposition()[0].count(b"\n")
    for number in range(100):
        metrics.request(f"/no/such/path/{number}", 404, 0.1)
    assert first - before == len(SECONDS) + 1 + 3
    assert metrics.exposition()[0].count(b"\n") == first
    assert figure(metrics, "requests_total", endpoint=OTHER, status="404") == 101


def test_paths_with_a_version_share_the_histogram_of_the_path_without() -> None:
    metrics, tail = Metrics(), "/versions/{version}:predict"
    paths = ["/v1/models/{model}:predict", "/v1/models/{model}" + tail, "/models"]
    metrics.add_endpoints(paths, paths[:2])
    for path in paths:
        metrics.request(path, 200, 0.1)
        assert figure(metrics, "requests_total", endpoint=path, status="200") == 1
    assert figure(metrics, "request_seconds_count", endpoint=paths[0]) == 2
    assert figure(metrics, "request_seconds_count", endpoint=OTHER) == 1


def test_a_histogram_holds_its_buckets_its_count_and_its_sum(metrics: Metrics) -> None:
    values = [0.0, 0.00001, 0.000011, 0.3, 1.0, 100.0, 1000.0]
    for value in values:
        metrics.observe("queue_seconds", value)
    samples = families(metrics)["mnist_queue_seconds"].samples
    buckets = {
        float(item.labels["le"]): item.value for item in samples if item.name.endswith("_bucket")
    }
    assert list(buckets) == sorted([*SECONDS, math.inf])
    for bound, count in buckets.items():
        assert count == sum(value <= bound for value in values), bound
    assert figure(metrics, "queue_seconds_count") == len(values)
    assert figure(metrics, "queue_seconds_sum") == pytest.approx(sum(values))
    assert (SECONDS[0], SECONDS[-1]) == (0.00001, 100)
    for lower, upper in pairwise(SECONDS):
        assert lower < upper <= 10.1 * lower


def test_runs_digits_doubts_rejections_and_loads_are_counted(metrics: Metrics) -> None:
    metrics.observe("batch_size", 16)
    metrics.observe("inference_seconds", 0.25)
    metrics.observe("batch_size", 3)
    metrics.observe("inference_seconds", 0.5)
    metrics.predicted([0, 9, 9])
    metrics.count("doubts", "several digits")
    metrics.count("rejected", "deadline")
    metrics.count("model_loads", "failed")
    for name, labels, value in [
        ("batch_size_sum", {}, 19),
        ("batch_size_bucket", {"le": "4.0"}, 1),
        ("inference_seconds_sum", {}, 0.75),
        ("predictions_total", {"digit": "9"}, 2),
        ("predictions_total", {"digit": "0"}, 1),
        ("doubts_total", {"doubt": "several digits"}, 1),
        ("rejected_total", {"reason": "deadline"}, 1),
        ("model_loads_total", {"result": "failed"}, 1),
    ]:
        assert figure(metrics, name, **labels) == pytest.approx(value), name


def test_small_families_are_told_from_the_start(metrics: Metrics) -> None:
    """A rate over a counter that appears with its first event misses that event."""
    for result in LOADS:
        loads = families(metrics)["mnist_model_loads"].samples
        assert any(item.labels == {"result": result} and item.value == 0 for item in loads)
    assert len(families(metrics)["mnist_predictions"].samples) == 10


def test_what_serves_is_told_by_labels_however_the_card_words_it(metrics: Metrics) -> None:
    for architecture in ("cnn", 'a "b" \\ c\nd', "字" * 300, "😀" * 300):
        metrics.serving("12", architecture, "cpu", fallback=True)
        (info,) = families(metrics)["mnist_model_info"].samples
        assert info.value == 1
        assert (info.labels["version"], info.labels["provider"]) == ("12", "cpu")
        assert architecture.startswith(info.labels["architecture"])
        assert figure(metrics, "provider_fallback") == 1


def test_the_sums_are_right_over_workers_living_and_dead(tmp_path: Path) -> None:
    here = Metrics(tmp_path)
    here.add_endpoints(ENDPOINTS, ENDPOINTS)
    here.serving("1", "tiny", "cpu", fallback=False)
    here.request("/predict", 200, 0.5)
    here.set("queue_rows", 2)
    dead, living = worker(tmp_path, ENDPOINTS), worker(tmp_path, ENDPOINTS)
    try:
        for process in (dead, living):
            assert process.stdout is not None
            process.stdout.readline()
        total = "requests_total"
        assert figure(here, total, endpoint="/predict", status="200") == 7
        assert figure(here, "workers") == 3
        assert figure(here, "queue_rows") == 12
        dead.kill()
        dead.communicate()
        assert figure(here, total, endpoint="/predict", status="200") == 7
        seconds = figure(here, "request_seconds_sum", endpoint="/predict")
        assert seconds == pytest.approx(0.5 + 6 * 0.002)
        assert figure(here, "predictions_total", digit="7") == 4
        assert figure(here, "batch_size_sum") == 32
        assert figure(here, "workers") == 2
        assert figure(here, "queue_rows") == 7
        assert figure(here, "provider_fallback") == 1
        infos = families(here)["mnist_model_info"].samples
        assert {info.labels["version"]: info.value for info in infos} == {"1": 1, "2": 1}
    finally:
        for process in (dead, living):
            process.communicate()


def test_workers_that_die_again_and_again_leave_one_row_with_all_counts(tmp_path: Path) -> None:
    for _ in range(3):
        worker(tmp_path, ENDPOINTS).communicate()
    here = Metrics(tmp_path)
    here.add_endpoints(ENDPOINTS, ENDPOINTS)
    assert [path.stem for path in tmp_path.iterdir()] == [str(os.getpid())]
    assert figure(here, "requests_total", endpoint="/predict", status="200") == 9
    assert figure(here, "workers") == 0
    here.serving("1", "tiny", "cpu", fallback=False)
    assert (figure(here, "workers"), figure(here, "queue_rows")) == (1, 0)


def test_the_layout_is_the_same_in_every_process_whatever_the_order_of_routes(
    tmp_path: Path,
) -> None:
    layouts = []
    for endpoints in (ENDPOINTS, ENDPOINTS[::-1]):
        told, _ = worker(tmp_path, endpoints).communicate()
        layouts.append(json.loads(told))
    assert layouts[0] == layouts[1]
    assert all(before[2] == after[1] for before, after in pairwise(layouts[0]))


def test_a_row_that_is_not_whole_yet_is_left_out(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.add_endpoints(ENDPOINTS, ENDPOINTS)
    metrics.serving("1", "tiny", "cpu", fallback=False)
    (tmp_path / "999999.row").write_bytes(b"")
    row = tmp_path / f"{os.getpid()}.row"
    (tmp_path / f"{os.getppid()}.row").write_bytes(_torn(row.read_bytes()))
    assert figure(metrics, "workers") == 1


def _torn(row: bytes) -> bytes:
    """The row while its worker writes what it serves."""
    return row.replace(b'{"model_i', b'{"mod\0\0\0\0')


def test_a_bucket_shows_a_sampled_trace_in_openmetrics(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.add_endpoints(ENDPOINTS, ENDPOINTS)
    metrics.serving("1", "tiny", "cpu", fallback=False)
    traces = ["01" * 16, "02" * 16]
    for trace in (traces[0], traces[1], None):
        metrics.request("/predict", 200, 0.003, trace)
    text = metrics.exposition("application/openmetrics-text;version=1.0.0")[0].decode()
    parsed: list[Metric] = list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    (bucket,) = (sample for family in parsed for sample in family.samples if sample.exemplar)
    assert (bucket.labels, bucket.value) == ({"endpoint": "/predict", "le": "0.005"}, 3)
    assert bucket.exemplar is not None
    assert bucket.exemplar.labels == {"trace_id": traces[1]}
    assert bucket.exemplar.value == 0.003
    assert b"trace_id" not in metrics.exposition()[0]


def test_the_least_of_a_gauge_ignores_workers_that_never_set_it() -> None:
    cases = {"sum": 10.0, "least": 3.0}
    for over, joint in cases.items():
        metric = Declared("gauge", "x", "X.", over=over)  # type: ignore[arg-type]
        metric.place(0)
        rows = [memoryview(array("d", [value])).cast("B").cast("d") for value in (3.0, 0.0, 7.0)]
        workers = [Worker(os.getpid(), row, {**SERVES}, {}) for row in rows]
        assert f"mnist_x {joint}" in exposition([metric], workers)[0].decode()


def test_promtool_finds_nothing_wrong(metrics: Metrics) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    metrics.serving("1", "tiny", "cpu", fallback=False)
    metrics.request("/predict", 200, 0.1)
    command = ["promtool", "check", "metrics"]
    text = metrics.exposition()[0]
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")

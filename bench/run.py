"""bench/gateway: what the gateway costs, alone on one core, beside the upstream and other gateways.

1. Everything is started once; who is not being measured is frozen.
2. Each round visits direct, the product and the peers in turn, so drift falls on all alike.
3. A load that other processes disturbed is repeated; the quietest try counts.
4. At the end the upstream's count of requests must equal the attempts in the ledger.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, system, table, targets
from bench.client import Client
from bench.load import Phase
from bench.product import Product, Sizes
from bench.table import Measured
from bench.targets import Target
from bench.upstream import Upstream

TURN_PAUSE_S = 0.3
WARM_CONNECTIONS = 64


@dataclass(slots=True)
class Tally:
    """What the product's turns did at the upstream and in the ledger."""

    upstream_requests: int = 0
    answered: int = 0
    calls: int = 0
    drain_s: list[float] = field(default_factory=list)
    others_cpu_s: dict[str, float] = field(default_factory=dict)


def main() -> int:
    """Measure; 0 when the counts agree, 1 when they do not."""
    options = _options()
    system.pin_self(system.OTHERS_CORE)
    system.give_priority(options.nice)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="bench-gateway-"))
    folder.chmod(0o711)
    bench = Bench(options, folder)
    try:
        bench.start()
        bench.measure()
        return bench.report()
    finally:
        bench.stop()
        if options.keep:
            _say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Bench:
    """One run."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._phases: list[Phase] = options.phases
        self._targets: list[Target] = []
        self._rounds: list[Measured] = []
        self._notes: list[str] = []
        self._tally = Tally()
        self._upstreams: list[Upstream] = []
        self._product = Product(folder / "product")

    def start(self) -> None:
        """Start everything, and leave frozen what answers as the upstream does."""
        kinds = {phase.kind for phase in self._phases}
        alone = Upstream(self._folder / "direct", core=system.GATEWAY_CORE)
        self._upstreams.append(alone)
        self._upstream = Upstream(self._folder / "upstream", core=system.OTHERS_CORE)
        self._upstreams.append(self._upstream)
        self._keep(targets.direct(alone), kinds)
        sizes = Sizes(self._options.organizations, self._options.keys, self._options.deployments)
        began_at = time.monotonic()
        keys = self._product.start(self._upstream.urls, sizes)
        _say(f"product up in {time.monotonic() - began_at:.1f} s with {len(keys):,} keys to call")
        product = Target(
            "product",
            dict.fromkeys(self._upstream.urls, self._product.port),
            product=self._product,
            keys=tuple(keys),
        )
        self._keep(product, kinds)
        self._tally.upstream_requests = self._upstream.requests()
        for name, told in self._options.peers.items():
            try:
                peer = targets.start_peer(name, told, self._upstream, self._folder / name)
            except (RuntimeError, OSError) as why:
                self._notes.append(f"{name} did not start: {why}")
                continue
            self._keep(peer, kinds)

    def _keep(self, target: Target, kinds: set[str]) -> None:
        target.check(kinds)
        self._notes += [f"{target.name}, {k} left out: {why}" for k, why in target.refused.items()]
        target.freeze()
        self._targets.append(target)
        _say(f"{target.name} ready")

    def measure(self) -> None:
        """All rounds."""
        for turn in range(self._options.rounds):
            for target in self._targets:
                if target.product is not None:
                    self._product_turn(target, turn)
                else:
                    self._turn(target, turn)

    def _product_turn(self, target: Target, turn: int) -> None:
        """A turn with its upstream requests counted and its ledger waited for."""
        rows_before = self._product.ledger().rows
        asked_before = self._upstream.requests()
        self._turn(target, turn)
        target.thaw()
        _, drain_s = self._product.drained(rows_before)
        target.freeze()
        self._tally.drain_s.append(drain_s)
        self._tally.upstream_requests += self._upstream.requests() - asked_before

    def _turn(self, target: Target, turn: int) -> None:
        target.thaw()
        time.sleep(TURN_PAUSE_S)
        if turn == 0 and len(target.keys) > 1:  # what is measured is the calls of known callers
            first = Client(target.ports["json"], target.requests("json")).each_once(
                WARM_CONNECTIONS
            )
            self._tally.answered += first.answered
            took = (
                f"the first call of each key took {first.seconds:.1f} s for {first.answered:,} keys"
            )
            self._notes.append(f"{target.name}: {took}, errors: {first.errors or 0}")
        if "json" not in target.refused:
            warm = Phase.read("c16")
            self._load(target, warm, self._options.warmup * (3 if turn == 0 else 1))
        for phase in self._phases:
            if phase.kind not in target.refused:
                measured = self._quietest(target, phase)
                self._rounds.append(measured)
                _say(_line(turn, measured))
        target.freeze()

    def _quietest(self, target: Target, phase: Phase) -> Measured:
        tries: list[Measured] = []
        for _ in range(self._options.tries):
            system.wait_for_quiet(self._options.quiet_wait)
            tries.append(self._load(target, phase, self._options.seconds))
            if tries[-1].foreign <= self._options.foreign_max:
                break
        return min(tries, key=lambda one: one.foreign)

    def _load(self, target: Target, phase: Phase, seconds: float) -> Measured:
        port = target.ports[phase.kind]
        requests = target.requests(phase.kind)
        others = {n: self._product.cpu_s(n) for n in ("drainer", "postgres", "valkey")}
        cores, own_s, ours_s = system.Cores.read(), system.cpu_s(target.pids()), _ours_s()
        began_at = time.monotonic()
        got = load.run(phase, port, requests, seconds=seconds, folder=self._folder)
        took_s = time.monotonic() - began_at
        now = system.Cores.read()
        cpu_s = system.cpu_s(target.pids()) - own_s
        foreign_s = (now.of_processes - cores.of_processes) / system.TICKS_PER_S
        foreign_s -= _ours_s() - ours_s
        if target.product is not None:
            self._tally.answered += got.answered
            for name, before_s in others.items():
                used_s = self._product.cpu_s(name) - before_s
                known = self._tally.others_cpu_s.get(name, 0.0)
                self._tally.others_cpu_s[name] = known + used_s
        return Measured(
            phase=phase,
            target=target.name,
            load=got,
            cpu_us=cpu_s / got.answered * 1e6 if got.answered else None,
            rss_mib=system.rss_mib(target.pids()),
            gateway_busy=now.share_since(cores, system.GATEWAY_CORE),
            others_busy=now.share_since(cores, system.OTHERS_CORE),
            foreign=max(0.0, foreign_s / took_s),
        )

    def report(self) -> int:
        """Print table and counts; 1 when upstream and ledger disagree or a call got lost."""
        options, tally = self._options, self._tally
        ledger = self._product.ledger()
        names = [target.name for target in self._targets]
        upstream = "nginx" if self._upstream.is_nginx else "bench/fixed_server.py"
        generator = "wrk, open loop bench/client.py" if load.has_wrk() else "bench/client.py"
        print(
            f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, Python "
            f"{sys.version.split()[0]}, {os.cpu_count()} cores; upstream: {upstream}; load: "
            f"{generator}; {self._product.servers}; {options.rounds} rounds of "
            f"{options.seconds:g} s; {options.organizations:,} organizations, "
            f"{max(options.keys, options.organizations):,} keys, {options.deployments:,} "
            "deployments\n"
        )
        print(table.markdown(self._rounds, self._phases, names))
        for note in self._notes:
            print(f"\n{note}")
        each = ", ".join(
            f"{name} {used_s / max(1, tally.answered) * 1e6:.0f}"
            for name, used_s in tally.others_cpu_s.items()
        )
        agree = ledger.attempts == tally.upstream_requests and ledger.successes >= tally.answered
        print(
            f"\nbeside the gateway, µs per call while under load: {each}"
            f"\nledger complete after a turn's last load: {max(tally.drain_s, default=0):.1f} s"
            f"\nupstream requests {tally.upstream_requests:,}; ledger: {ledger.rows:,} rows, "
            f"{ledger.attempts:,} attempts, {ledger.successes:,} successes, "
            f"{ledger.quarantined:,} set aside; answers that the load counted {tally.answered:,}: "
            f"{'they agree' if agree else 'THEY DO NOT AGREE'}"
        )
        return 0 if agree else 1

    def stop(self) -> None:
        """End everything that was started."""
        for target in self._targets:
            if target.name not in ("direct", "product"):
                target.stop()
        system.tell(self._product_pids(), signal.SIGCONT)
        self._product.stop()
        for upstream in self._upstreams:
            upstream.stop()

    def _product_pids(self) -> list[int]:
        return self._product.web_pids() if self._product.has_web else []


def _ours_s() -> float:
    """Processor seconds of this program and everything it started."""
    return system.cpu_s(system.tree(os.getpid()))


def _line(turn: int, measured: Measured) -> str:
    got = measured.load
    cpu = "-" if measured.cpu_us is None else f"{measured.cpu_us:.0f}"
    return (
        f"{turn + 1} {measured.target} {measured.phase.name}: {got.answered / got.seconds:.0f}/s, "
        f"{cpu} µs/call, p50 {got.p50_us} p99 {got.p99_us} µs, foreign {measured.foreign:.2f}, "
        f"errors {got.errors or 0}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/gateway", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--phases", type=_phases, default="c1,c16,c64,s64,p64,o500")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of one load")
    parser.add_argument("--warmup", type=float, default=2, help="seconds before each turn")
    parser.add_argument("--peers", type=_peers, default={}, help="TOML file of other gateways")
    parser.add_argument("--organizations", type=int, default=1)
    parser.add_argument("--keys", type=int, default=1, help="over all organizations")
    parser.add_argument("--deployments", type=int, default=1, help="of the first organization")
    parser.add_argument("--tries", type=int, default=2, help="of a load that was disturbed")
    parser.add_argument("--foreign-max", type=float, default=0.1, help="cores others may take")
    parser.add_argument(
        "--quiet-wait", type=float, default=5, help="seconds to wait for idle cores"
    )
    parser.add_argument("--nice", type=int, default=0, help="priority; below 0 needs root")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    return parser.parse_args(words)


def _phases(words: str) -> list[Phase]:
    try:
        return [Phase.read(word) for word in words.split(",")]
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def _peers(name: str) -> dict[str, dict[str, object]]:
    return targets.read_peers(Path(os.environ.get("CALLED_FROM", "."), name))


if __name__ == "__main__":
    sys.exit(main())

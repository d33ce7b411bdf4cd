"""What the ledger is built of: latency buckets, percentiles, what a body is bound to. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

# The key of the installation under which bodies are sealed, and the two of a call.
BODY_KEY_ID = 1
REQUEST = "request"
ANSWER = "answer"
# The error of a call whose process ended before its outcome was written down.
INTERRUPTED = "interrupted"

# Each bucket is 8 % wider than the one below, so its middle is within 4 % of what fell into it.
BUCKET_FACTOR = 1.08
_LOG = math.log(BUCKET_FACTOR)
# A rollup's latencies are an array of bucket * 2^40 + count, the buckets ascending.
COUNT_BITS = 40
COUNT_MASK = 2**COUNT_BITS - 1


def body_bound_to(organization_id: str, call_id: str, part: str) -> str:
    """What a sealed body is bound to: it opens nowhere else. Ids in hex without dashes."""
    return f"router_bodies|{part}|{organization_id}|{call_id}"


def bucket_of(latency_ms: int) -> int:
    """The bucket of a latency: the smallest b with latency ≤ 1.08^b; 0 up to 1 ms."""
    return 0 if latency_ms <= 1 else math.ceil(math.log(latency_ms) / _LOG - 1e-9)


def bucket_ms(bucket: int) -> float:
    """The middle of a bucket in milliseconds, on the logarithmic scale."""
    return 1.0 if bucket <= 0 else BUCKET_FACTOR ** (bucket - 0.5)


def percentile_ms(buckets: Mapping[int, int], share: float) -> float | None:
    """The latency that ``share`` of the calls stayed within; None without calls.

    ``buckets`` are counts by bucket; histograms merge by adding their counts.
    """
    total = sum(buckets.values())
    if not total:
        return None
    needed = math.ceil(total * share)
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= needed:
            return bucket_ms(bucket)
    raise AssertionError("the counts add up to their sum")

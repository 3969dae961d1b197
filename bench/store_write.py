"""Counter blocks to a real HBase: client CPU a row of our store and of happybase, the same rows.

python -m bench.store_write [--stack-dir DIR] [--reports N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import secrets
from contextlib import ExitStack
from pathlib import Path

from bench.child import Child
from bench.kernels import NotEqual
from bench.part import Part, parser, run
from bench.rounds import interleave
from bench.servers import servers
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.hbase import HBaseStore

CONTENDERS = {"ours": "our store", "happybase": "happybase, batches of 5,000"}


def measure(options: argparse.Namespace) -> Part:
    """The part."""
    with servers(options, "hbase") as addresses:
        assert addresses.hbase_thrift is not None
        host, port = addresses.hbase_thrift
        stores = [HBaseAddress(host, port, f"bench_{secrets.token_hex(3)}_") for _ in CONTENDERS]
        try:
            return _measure(options, stores)
        finally:
            for address in stores:
                store = HBaseStore(address, timeout=120)
                for table in (*store.tables(), "control"):
                    store.admin.drop(table)
                store.close()


def _measure(options: argparse.Namespace, stores: list[HBaseAddress]) -> Part:
    children: dict[str, Child] = {}
    with ExitStack() as stack:
        for name, address in zip(CONTENDERS, stores, strict=True):
            words = (name, address.host, str(address.port), address.prefix, str(options.reports))
            children[name] = stack.enter_context(Child.python(name, "bench.contenders.hbase_client", *words))
            rows = int(children[name].expect("ready"))

        def once(child: Child) -> tuple[float, float]:
            child.ask("prepare", "prepared")
            return child.timed("round", "done")[:2]

        for child in children.values():
            once(child)
        digests = {name: child.ask("digest", "digest") for name, child in children.items()}
        if len(set(digests.values())) > 1 or int(digests["ours"].split()[1]) != rows:
            raise NotEqual(f"Not the same {rows} cells were found: {digests}.")
        ways = {name: lambda child=child: once(child) for name, child in children.items()}  # type: ignore[misc]
        samples = interleave("store_write", ways, options.rounds)
    figures = [
        {
            "name": name,
            "title": title,
            "rounds": len(samples[name].cpu),
            "us_per_row": samples[name].least / rows * 1e6,
            "rows_per_s": rows / min(samples[name].wall),
        }
        for name, title in CONTENDERS.items()
    ]
    ratio = samples["happybase"].least / samples["ours"].least
    return Part("store_write", {"reports": options.reports, "rows": rows}, figures, {"hbase_write_vs_happybase": ratio})


def main() -> None:
    """See the module's words."""
    arguments = parser(__doc__)
    arguments.add_argument("--reports", type=int, default=50_000, help="Whose blocks are written.")
    arguments.add_argument("--stack-dir", type=Path, help="A stack that runs; else one is started for this.")
    run(arguments.parse_args(), measure)


if __name__ == "__main__":
    main()

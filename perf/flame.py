"""Stacks as a flame graph: one SVG file, no script but the few lines that zoom into a frame."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from html import escape

from perf.stacks import Stacks

WIDTH, ROW, HEAD, LETTER = 1200, 16, 44, 6.6  # pixels
LEAST = 0.5  # narrower frames are left out: nobody sees them
TINTS = {"kernel": 205, "python": 90, "rust": 20, "other": 40}  # hues

# A click shows a frame at full width (its callers above are dimmed), another on the lowest row shows all again.
ZOOM = """
document.querySelectorAll('g').forEach(g => g.onclick = () => {
  const x = +g.dataset.x, w = +g.dataset.w;
  document.querySelectorAll('g').forEach(f => {
    const a = +f.dataset.x, b = +f.dataset.w, over = a <= x && a + b >= x + w, in_ = a >= x && a + b <= x + w + 1e-6;
    f.style.display = over || in_ ? '' : 'none';
    const left = over ? 0 : (a - x) / w * WIDTH, wide = over ? WIDTH : b / w * WIDTH;
    const r = f.children[1], t = f.children[2], room = Math.floor(wide / LETTER), name = f.dataset.n;
    r.setAttribute('x', left); r.setAttribute('width', wide); t.setAttribute('x', left + 3);
    t.textContent = room < 4 ? '' : name.length <= room ? name : name.slice(0, room - 1) + '\\u2026';
  });
});
""".replace("WIDTH", str(WIDTH)).replace("LETTER", str(LETTER))


@dataclass
class Node:
    """A frame under its callers. `weight` is with what it called."""

    weight: int = 0
    callees: dict[str, Node] = field(default_factory=dict)


def tree(stacks: Stacks) -> Node:
    """The stacks, merged from their outermost frame on."""
    root = Node()
    for stack, weight in stacks.items():
        root.weight += weight
        node = root
        for name in stack:
            node = node.callees.setdefault(name, Node())
            node.weight += weight
    return root


def svg(stacks: Stacks, title: str, unit: str) -> str:
    """The picture: callers above callees, width is weight, neighbours in alphabetical order. Raises ValueError if
    there is nothing to show."""
    root = tree(stacks)
    if not root.weight:
        raise ValueError("no sample was taken: record for longer")
    boxes: list[str] = []
    deepest = _draw(root, f"all: {root.weight:,} {unit}", 0.0, 0, root.weight, unit, boxes)
    height = HEAD + (deepest + 1) * ROW + 8
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fdfdf8"/>',
        f'<text x="{WIDTH / 2}" y="26" font-size="15" text-anchor="middle">{escape(title)}</text>',
        *boxes,
        f"<script><![CDATA[{ZOOM}]]></script>",
        "</svg>\n",
    ])  # fmt: skip


def _draw(node: Node, name: str, left: float, depth: int, total: int, unit: str, boxes: list[str]) -> int:
    """Appends the frame and what it called; the lowest row that was drawn."""
    width = node.weight / total * WIDTH
    room = int(width / LETTER)
    shown = "" if room < 4 else name if len(name) <= room else name[: room - 1] + "…"
    top = HEAD + depth * ROW
    boxes.append(
        f'<g data-x="{left:.2f}" data-w="{width:.2f}" data-n="{escape(name)}">'
        f"<title>{escape(name)}: {node.weight:,} {unit}, {node.weight / total:.1%}</title>"
        f'<rect x="{left:.2f}" y="{top}" width="{width:.2f}" height="{ROW - 1}" fill="{tint(name)}"/>'
        f'<text x="{left + 3:.2f}" y="{top + 11}">{escape(shown)}</text></g>'
    )
    deepest = depth
    for callee, below in sorted(node.callees.items()):
        wide = below.weight / total * WIDTH
        if wide >= LEAST:
            deepest = max(deepest, _draw(below, callee, left, depth + 1, total, unit, boxes))
        left += wide
    return deepest


def tint(name: str) -> str:
    """A colour by kind of code, the same for the same function in every picture."""
    if name.endswith("_[k]"):
        kind = "kernel"
    elif ".py" in name or name.startswith("py::"):
        kind = "python"
    else:
        kind = "rust" if "::" in name else "other"
    shade = zlib.crc32(name.encode())
    return f"hsl({TINTS[kind] + shade % 16} {55 + shade // 16 % 20}% {68 + shade // 512 % 10}%)"

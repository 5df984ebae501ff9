"""A comparison as a table for a terminal or a page, and as plots: PNG beside one HTML file that holds everything."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from actors.domain.words import Priority

if TYPE_CHECKING:
    from pathlib import Path

    from simulation.compare import Comparison, Estimate

_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#16202b}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.25rem .6rem;border-bottom:1px solid #d5dbe1;text-align:right;white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left}small{color:#5b6b7a}img{max-width:100%}"
)
_SHARES = ("breach", "utilisation")
_TURNAROUND = ("tat_mean", "tat_median", "tat_p95", "tat_p99", "tat_max", "breach")
NAMES = {
    "tat_mean": "mean TAT", "tat_median": "median TAT", "tat_p95": "p95 TAT", "tat_p99": "p99 TAT",
    "tat_max": "max TAT", "breach": "breach %", "missed_wait_max": "max wait, missed", "gini": "Gini of minutes",
    "gini_rvu": "Gini of RVU", "declines": "declines", "moves": "reassigned", "utilisation": "utilisation %",
    "unread": "never read", "read_min": "minutes read", "wait_mean": "mean wait", "studies": "studies",
}  # fmt: skip
KEY = (
    "breach/all", "tat_p95/STAT", "tat_p95/URGENT", "tat_p95/ROUTINE", "tat_mean/all", "missed_wait_max", "gini",
    "declines", "moves", "utilisation",
)  # fmt: skip


def title(figure: str) -> str:
    """Return a figure's name for people."""
    name, _, group = figure.partition("/")
    return NAMES[name] + (f" {group}" if group and group != "all" else "")


def shown(figure: str, value: Estimate) -> str:
    """Return a figure with its interval; shares in percent."""
    name = figure.partition("/")[0]
    scale = 100 if name in _SHARES else 1
    digits = 3 if name.startswith("gini") else 1
    half = "" if value.half == float("inf") else f" ±{value.half * scale:.{digits}f}"
    return f"{value.mean * scale:.{digits}f}{half}"


def rows(comparison: Comparison, figures: tuple[str, ...] = KEY) -> list[list[str]]:
    """Return a table: a heading, then a row a policy."""
    known = [f for f in figures if f in comparison.figures()]
    heading = ["policy", *(title(f) for f in known)]
    return [heading, *([p, *(shown(f, comparison.of(p, f)) for f in known)] for p in comparison.runs)]


def markdown(comparison: Comparison, figures: tuple[str, ...] = KEY) -> str:
    """Return the table in Markdown."""
    heading, *body = rows(comparison, figures)
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(comparison: Comparison, directory: Path) -> list[Path]:
    """Write ``NAME.html`` and its plots as PNG; return what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    plots = {
        "p95": _bars(comparison, [f"tat_p95/{p.value}" for p in Priority], "p95 turnaround, minutes"),
        "breach": _bars(comparison, [f"breach/{p.value}" for p in Priority], "share that breached"),
        "fairness": _trade(comparison),
    }
    written = []
    for name, figure in plots.items():
        path = directory / f"{comparison.scenario}-{name}.png"
        figure.savefig(path, format="png")
        written.append(path)
    page = directory / f"{comparison.scenario}.html"
    page.write_text(_page(comparison, plots), encoding="utf-8")
    return [*written, page]


def _bars(comparison: Comparison, figures: list[str], label: str) -> Figure:
    figure = Figure(figsize=(9, 0.45 * len(comparison.runs) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    policies = list(comparison.runs)
    height = 0.8 / len(figures)
    for i, name in enumerate(figures):
        found = [comparison.of(p, name) for p in policies]
        axes.barh(
            [k + i * height for k in range(len(policies))], [e.mean for e in found], height,
            xerr=[0.0 if e.half == float("inf") else e.half for e in found], label=name.partition("/")[2],
            color=("#b3261e", "#c77700", "#2f6fb0")[i % 3], error_kw={"elinewidth": 0.8},
        )  # fmt: skip
    axes.set_yticks([k + height for k in range(len(policies))], policies)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _trade(comparison: Comparison) -> Figure:
    """Breaches against unevenness of load: the lower left is better in both."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for policy in comparison.runs:
        x, y = comparison.of(policy, "gini"), comparison.of(policy, "breach/all")
        axes.plot(x.mean, y.mean * 100, "o", color="#2f6fb0")
        axes.annotate(policy, (x.mean, y.mean * 100), textcoords="offset points", xytext=(5, 3), fontsize=8)
    axes.set_xlabel("Gini of minutes read")
    axes.set_ylabel("breached, %")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _page(comparison: Comparison, plots: dict[str, Figure]) -> str:
    groups = ["all", *(p.value for p in Priority), *_findings(comparison)]
    tables = [_table(rows(comparison))]
    for group in groups:
        figures = tuple(f"{name}/{group}" for name in _TURNAROUND)
        tables.append(f"<h2>{html.escape(group)}</h2>" + _table(rows(comparison, figures)))
    images = "".join(f'<p><img alt="{name}" src="data:image/png;base64,{_png(p)}"></p>' for name, p in plots.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(comparison.scenario)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(comparison.scenario)}</h1><p>{html.escape(comparison.about)}. "
        f"{len(comparison.seeds)} nights, each lived under every policy. Minutes; mean ± 95 % interval.</p>"
        + tables[0] + images + "".join(tables[1:]) + "</html>"
    )  # fmt: skip


def _findings(comparison: Comparison) -> list[str]:
    known = {p.value for p in Priority} | {"all"}
    groups = dict.fromkeys(f.partition("/")[2] for f in comparison.figures() if f.startswith("tat_mean/"))
    return [g for g in groups if g not in known]


def _table(lines: list[list[str]]) -> str:
    heading, *body = lines
    top = "".join(f"<th>{html.escape(c)}</th>" for c in heading)
    rest = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in line) + "</tr>" for line in body)
    return f"<table><tr>{top}</tr>{rest}</table>"


def _png(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return base64.b64encode(data.getvalue()).decode()

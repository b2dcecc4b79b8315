"""The result of a sweep: a table on the terminal, sweep.csv, and sweep.png, held-out error against size."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields

from rich.table import Table

from ds2ray import display, storage
from ds2ray.fleet.sweep import SweepRow


def write_report(rows: Sequence[SweepRow], output_dir: str, command: str) -> None:
    """Print the table, best first, and write the files.

    Args:
        command: printed with the best row's overrides appended, as the next command to run.
    """
    ranked = sorted(rows, key=lambda row: (row.wer_after, row.held_out_loss, row.num_parameters))
    table = Table(title="held-out error by adapter shape, best first")
    for name in ("hidden dims", "parameters", "size", "loss", "WER base", "WER", "CER"):
        table.add_column(name, justify="right")
    for row in ranked:
        table.add_row(
            row.hidden_dims,
            f"{row.num_parameters:,}",
            f"{row.size_bytes / 1e6:.2f} MB",
            f"{row.held_out_loss:.3f}",
            f"{row.wer_before:.1%}",
            f"{row.wer_after:.1%}",
            f"{row.cer_after:.1%}",
        )
    display.show(lambda width: table)
    csv_uri, png_uri = storage.join(output_dir, "sweep.csv"), storage.join(output_dir, "sweep.png")
    storage.write_bytes(csv_uri, _csv_bytes(ranked))
    storage.write_bytes(png_uri, _png_bytes(ranked))
    display.say(f"wrote {csv_uri} and {png_uri}")
    display.say(f"best: {command} {ranked[0].overrides}")


def _csv_bytes(rows: Sequence[SweepRow]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(SweepRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue().encode()


def _png_bytes(rows: Sequence[SweepRow]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter([row.size_bytes / 1e6 for row in rows], [100 * row.wer_after for row in rows], zorder=3)
    for row in rows:
        place = (row.size_bytes / 1e6, 100 * row.wer_after)
        axes.annotate(row.hidden_dims, place, xytext=(6, 6), textcoords="offset points", fontsize=8)
    base_wer = 100 * rows[0].wer_before
    axes.axhline(base_wer, linestyle="--", color="grey", label=f"base alone: {base_wer:.1f} %")
    axes.set(xscale="log", xlabel="adapter size (MB, float32)", ylabel="held-out WER (%)", ylim=(0, None))
    axes.margins(x=0.15)
    for axis_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_formatter(lambda size_mb, position: f"{size_mb:g}")
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()

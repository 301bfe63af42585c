"""The table of the README."""

from __future__ import annotations

from .materials import ranges
from .sources import read_result, row_of, table


def numbers() -> str:
    """The table of the README."""
    network = row_of("organic", system="62 test molecules, network alone")
    organic = row_of("organic", system="62 test molecules")
    scf_row = row_of("seeding", method="B3LYP/def2-SVP", variant="both", atoms="all")
    quantity = "one molecule of a batch, paracetamol (20 atoms), with error bars (three cheap Fock builds)"
    seconds = row_of("speed", quantity=quantity)["value"]
    scf = row_of("speed", quantity="SCF of paracetamol")["reference"]
    crystals = ranges("stage-1-h0-density", "stage-1")
    judged = read_result("trust")["average"]["refined"]
    rows = [
        ("error of H, 62 molecules that `organic` has never seen (network alone)",
         f"{organic['mae_all']:.0f} µHa ({network['mae_all']:.0f})"),
        ("error of HOMO and LUMO, the same molecules (network alone)",
         f"{organic['homo_mae'] / 1000:.2f} and {organic['lumo_mae'] / 1000:.2f} mHa "
         f"({network['homo_mae'] / 1000:.2f} and {network['lumo_mae'] / 1000:.2f})"),
        ("predictions judged good that were off by more than 5 mHa in an occupied level, 20 random divisions",
         f"{judged['bad_among_good']} of {judged['good']}"),
        ("paracetamol, H with error bars (PySCF's SCF)", f"{seconds:.3g} s ({scf:.0f} s)"),
        (f"SCF of {scf_row['molecules']} unseen molecules: full Fock builds (PySCF's); CPU time relative to PySCF's",
         f"{scf_row['full_builds']:.1f} ({scf_row['default_builds']:.1f}); {scf_row['cpu_ratio']:.2f}"),
        ("error of H, six crystals, trained for {:.0f} to {:.0f} minutes of one core on {:.0f} to {:.0f} calculations "
         "(bands)".format(*crystals["minutes"], *crystals["train"]),
         "{:.2f} to {:.2f} meV ({:.2g} to {:.2g})".format(*crystals["mae_all"], *crystals["band_mae"])),
    ]
    return table(("measured", "value"), rows)

"""Errors of orbital energies, wavefunctions and bands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SolverError
from ..core.spectrum import Spectrum

Array = NDArray[Any]
Floats = NDArray[np.float64]


def orbital_energy_errors(reference: Spectrum, prediction: Spectrum, *, shift: float = 0.0) -> Floats:
    """|eps_pred - shift - eps_ref| in Hartree of every orbital that is occupied in the reference."""
    n = _common(reference, prediction)
    error = np.abs(prediction.energies[..., :n] - shift - reference.energies[..., :n])
    return np.asarray(error[reference.occupied[..., :n]])


def frontier_errors(reference: Spectrum, prediction: Spectrum, *, shift: float = 0.0) -> tuple[float, float, float]:
    """Absolute errors of HOMO, LUMO and gap in Hartree, the occupied orbitals being those of each spectrum."""
    homo = abs(prediction.homo - shift - reference.homo)
    lumo = abs(prediction.lumo - shift - reference.lumo)
    return homo, lumo, abs(prediction.gap - reference.gap)


def orbital_cosines(reference: Spectrum, prediction: Spectrum) -> Floats:
    """|c_ref . c_pred| / (|c_ref| |c_pred|) of the occupied coefficient vectors, in order of energy.

    The convention of the literature (QHNet, Yu et al., ICML 2023): plain coefficient vectors, no metric, orbitals
    matched by index. Degenerate orbitals make it smaller than the wavefunctions deserve; see
    :func:`subspace_overlaps`.
    """
    cosines = []
    for ref, pred in _occupied_pairs(reference, prediction):
        dots = np.abs((ref.conj() * pred).sum(axis=0))
        cosines.append(dots / (np.linalg.norm(ref, axis=0) * np.linalg.norm(pred, axis=0)))
    return np.concatenate(cosines)


def subspace_overlaps(reference: Spectrum, prediction: Spectrum, overlap: Array) -> Floats:
    """Singular values of C_ref^+ S C_pred over the occupied orbitals: cosines of the angles between the two spaces.

    Args:
        reference: Spectrum of the reference.
        prediction: Spectrum of the prediction, of the same S.
        overlap: S, (ao, ao), or (k, ao, ao) for spectra at k-points.
    """
    pairs = list(_occupied_pairs(reference, prediction))
    matrices = np.broadcast_to(overlap, (*reference.energies.shape[:-1], *overlap.shape[-2:]))
    overlaps = matrices.reshape(-1, *overlap.shape[-2:])
    values = [
        np.linalg.svd(ref.conj().T @ s @ pred, compute_uv=False) for (ref, pred), s in zip(pairs, overlaps, strict=True)
    ]
    return np.concatenate(values)


def band_errors(reference: Floats, prediction: Floats, *, fermi: float, window: float) -> tuple[Floats, float]:
    """Absolute errors of the bands in a window around the Fermi level, after the best common shift.

    Args:
        reference: Energies, (..., band), in Hartree.
        prediction: Energies of the same shape, up to the number of bands.
        fermi: Fermi level of the reference in Hartree.
        window: Half width of the window in Hartree.

    Returns:
        Errors of the reference's bands inside the window, (state,), and the shift that was taken out (the median of
        the differences, which minimises the mean absolute error).

    Raises:
        SolverError: No band lies in the window.
    """
    n = min(reference.shape[-1], prediction.shape[-1])
    in_window = np.abs(reference[..., :n] - fermi) <= window
    if not in_window.any():
        raise SolverError(f"No band lies within {window:g} Ha of the Fermi level {fermi:g} Ha; widen the window.")
    difference = (prediction[..., :n] - reference[..., :n])[in_window]
    shift = float(np.median(difference))
    return np.abs(difference - shift), shift


def reach_bands(energies: Floats, fermi: float, window: float) -> float:
    """The half width of a window around the Fermi level, or where no band lies in it, up to both edges of the gap.

    Args:
        energies: Of the reference, Hartree.
        fermi: Its Fermi level, Hartree.
        window: Half width, Hartree.
    """
    distances = np.abs(energies - fermi)
    if (distances <= window).any():
        return window
    sides = (distances[energies <= fermi], distances[energies > fermi])
    return float(max(side.min() for side in sides if side.size))


def _common(reference: Spectrum, prediction: Spectrum) -> int:
    """Number of orbitals that both spectra have."""
    if reference.energies.shape[:-1] != prediction.energies.shape[:-1]:
        raise SolverError(
            f"Spectra of shapes {reference.energies.shape} and {prediction.energies.shape} cannot be compared: "
            f"use the same k-points and spins."
        )
    return int(min(reference.energies.shape[-1], prediction.energies.shape[-1]))


def _occupied_pairs(reference: Spectrum, prediction: Spectrum) -> Iterator[tuple[Array, Array]]:
    """Coefficients (ao, occupied) of both spectra, one pair per spin and k-point."""
    n = _common(reference, prediction)
    ao = reference.coefficients.shape[-2]
    ref = reference.coefficients[..., :n].reshape(-1, ao, n)
    pred = prediction.coefficients[..., :n].reshape(-1, ao, n)
    for a, b, occupied in zip(ref, pred, reference.occupied[..., :n].reshape(-1, n), strict=True):
        yield a[:, occupied], b[:, occupied]

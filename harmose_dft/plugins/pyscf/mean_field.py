"""Mean-field objects of PySCF that start from a prediction and converge in few full Fock builds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf.known_names import parsed_functional
from ...adapters.pyscf.start import require_near_self_consistent
from ...core.errors import HarmoseError
from ...model.loading import as_predictor
from ...solver.orthogonal import commutator_norm
from .accelerate import Acceleration, Accelerator
from .cheap import keep_integrals, reason_against
from .guess import Guess, PredictedStart, SeedWarning, Start, require_electrons, require_restricted
from .kinds import MeanField, Potential

if TYPE_CHECKING:
    from pyscf.gto import Mole

    from ...model.predictor import Predictor

FEW_CYCLES = 20
"""An SCF that is allowed fewer cycles and does not converge was cut short on purpose; it is not run again. Chosen, not
measured."""

TARGET_SHARE = 0.3
"""Share of ``sqrt(conv_tol)`` to which the cheap iterations reduce the gradient. The energy lies above its minimum by
the square of the gradient over twice the gap, about the gradient's square in Hartree. Chosen, not measured."""


class NotMeanFieldError(HarmoseError, TypeError):
    """What should be seeded is no mean-field object of PySCF."""


def seed(mf: MeanField, model: str | Path | Predictor = "organic", *, accelerate: bool = True) -> MeanField:
    """A copy of a mean-field object that starts from a prediction: ``mf = seed(mf); mf.kernel()``.

    RKS and RHF start from the prediction, with or without density fitting. For anything else, such as UKS, and outside
    the model's domain it warns and starts as PySCF does; so it does, without a warning, where ``mf.init_guess``, the
    argument ``dm0`` or earlier orbitals say where to start. Whatever the start, the SCF is accelerated where that pays.
    After the SCF ``mf.guess`` says how it started and ``mf.acceleration`` how it was accelerated.

    Args:
        mf: A mean-field object of PySCF.
        model: A bundled model's name, a model's folder, or a loaded model.
        accelerate: Whether a cheap Fock operator may converge between the full Fock builds.

    Returns:
        The object; its class is derived from that of ``mf``.

    Raises:
        CheckpointError: The model cannot be loaded.
        NotMeanFieldError: ``mf`` is not a mean-field object of PySCF; also a TypeError.
    """
    _require_mean_field(mf)
    predictor = as_predictor(model)
    return seed_with(mf, PredictedStart(predictor), predictor.model.functional, accelerate=accelerate)


def seed_with(mf: MeanField, start: Start, functional: str, *, accelerate: bool = True) -> MeanField:
    """A copy of a mean-field object with another start, tested as described above.

    Args:
        mf: A mean-field object of PySCF.
        start: Density matrix of a molecule in PySCF's order, or a HarmoseError that says why there is none.
        functional: Functional that the start was made for.
        accelerate: Whether a cheap Fock operator may converge between the full Fock builds.

    Raises:
        NotMeanFieldError: ``mf`` is not a mean-field object of PySCF.
    """
    from pyscf import lib

    _require_mean_field(mf)
    plain = mf.undo_seeded() if isinstance(mf, Seeded) else mf
    return lib.set_class(Seeded(plain, start, functional, accelerate), (Seeded, type(plain)))


class Seeded:
    """Mixin that replaces the start and the iterations of a mean-field class of PySCF; made by :func:`seed_with`."""

    __name_mixin__ = "Seeded"
    _keys = frozenset({"start", "start_functional", "guess", "accelerate", "acceleration"})

    def __init__(self, mf: MeanField, start: Start, functional: str, accelerate: bool = True) -> None:
        self.__dict__.update(mf.__dict__)
        self.start, self.start_functional, self.accelerate = start, functional, accelerate
        self.guess: Guess | None = None
        self.acceleration = Acceleration("no accelerated SCF has been run")
        self._first: tuple[NDArray[np.float64], Any] | None = None
        self._accelerator: Accelerator | None = None
        self._running = False

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """Pickled as the plain object and what seeding added, because the class is made when an object is seeded."""
        state = {"guess": self.guess, "acceleration": self.acceleration}
        arguments = (self.undo_seeded(), self.start, self.start_functional, self.accelerate)
        return _rebuild, arguments, state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what a run has left."""
        self.__dict__.update(state)

    def undo_seeded(self) -> MeanField:
        """The mean-field object without the prediction."""
        from pyscf import lib

        plain = lib.view(self, lib.drop_class(self.__class__, Seeded))
        for name in (*Seeded._keys, "_first", "_accelerator", "_running"):
            plain.__dict__.pop(name, None)
        return plain

    def get_init_guess(self, mol: Mole | None = None, key: Any = "minao", **options: Any) -> NDArray[np.float64]:
        """The predicted density, or PySCF's own start ``key`` with a warning that says why."""
        molecule: Any = self.mol if mol is None else mol  # type: ignore[attr-defined]
        if not self._is_default(key):
            pyscf_guess = super().get_init_guess(molecule, key, **options)  # type: ignore[misc]
            self.guess = Guess(np.asarray(pyscf_guess), False, "Another initial guess was asked for.")
            return pyscf_guess  # type: ignore[no-any-return]
        commutator: float | None = None
        try:
            require_restricted(self)
            density = self.start(molecule)
            require_electrons(density, self.get_ovlp(molecule), molecule.nelectron)  # type: ignore[attr-defined]
            potential, commutator = self._test_start(molecule, density)
            projected = getattr(density, "projected", False)
            require_near_self_consistent(commutator, molecule.nelectron, projected=projected)
        except Exception as error:  # whatever keeps the model from predicting, PySCF can start without it
            warnings.warn(f"PySCF's own initial guess is used. {error}", SeedWarning, stacklevel=2)
            pyscf_guess = super().get_init_guess(molecule, key, **options)  # type: ignore[misc]
            self.guess = Guess(pyscf_guess, False, str(error), commutator)
            return pyscf_guess  # type: ignore[no-any-return]
        # Kept during an SCF only: outside of one, functional or grid may change before the potential is asked for.
        self._first = (density, potential) if self._running and self._accelerator is None else None
        self.guess = Guess(density, True, commutator=commutator)
        self._tell_functional()
        return density

    def get_veff(self, mol: Any = None, dm: Any = None, *args: Any, **options: Any) -> Any:
        """The effective potential; that of the tested start is not calculated twice.

        The first one of an accelerated SCF may be on a grid one level coarser.
        """
        from pyscf import lib

        if self._first is not None and dm is self._first[0]:
            return self._first[1]
        if self._accelerator is not None and len(args) == 2 and self._accelerator.is_extra():
            try:
                potential = self._accelerator.extra_potential(dm, *args)
            except Exception as error:  # whatever fails here, PySCF can go on without it
                self._stop_accelerating(str(error))
                potential = None
            if potential is not None:
                return potential
        self.acceleration.full_builds += self._running
        coarser = self._accelerator.grids_of_first_build() if self._accelerator is not None and not args else None
        with lib.temporary_env(self, **({"grids": coarser} if coarser is not None else {})):
            return super().get_veff(mol, dm, *args, **options)  # type: ignore[misc]

    def get_fock(
        self, h1e: Any = None, s1e: Any = None, vhf: Potential = None, dm: Any = None, cycle: int = -1,
        diis: Any = None, *args: Any, **options: Any,
    ) -> Any:
        """PySCF's Fock matrix; in an accelerated cycle the one that the cheap operator leads to."""
        if self._accelerator is not None and cycle >= 0 and diis is not None:
            try:
                return self._accelerator.next_fock(dm, vhf)
            except Exception as error:  # whatever fails here, PySCF can go on without it
                self._stop_accelerating(str(error))
        return super().get_fock(h1e, s1e, vhf, dm, cycle, diis, *args, **options)  # type: ignore[misc]

    def scf(self, dm0: NDArray[np.float64] | None = None, **options: Any) -> float:
        """PySCF's SCF, accelerated where that pays; once more as PySCF does it if that fails from the prediction."""
        self._first, self.guess, self._accelerator, self._running = None, None, None, True
        try:
            if self._accelerates():
                dm0 = self._converge_cheaply(dm0, options)
            elif dm0 is not None:
                self.guess = Guess(np.asarray(dm0), False, "A density matrix was given.")
            energy = super().scf(dm0, **options)  # type: ignore[misc]
            return float(energy if not self._has_failed() else super().scf(self._start_again(), **options))  # type: ignore[misc]
        finally:
            self._close_accelerator()
            self._running = False

    def _has_failed(self) -> bool:
        """Whether the SCF did not converge from the prediction although it had the cycles to do so."""
        guess: Guess | None = self.guess
        few = self.max_cycle < FEW_CYCLES  # type: ignore[attr-defined]
        return not (self.converged or few or guess is None or not guess.predicted)  # type: ignore[attr-defined]

    def _start_again(self) -> NDArray[np.float64]:
        """PySCF's own start, with a warning."""
        self._close_accelerator()
        reason = "The SCF did not converge from the predicted density."
        warnings.warn(f"{reason} It is run again from PySCF's own initial guess.", SeedWarning, stacklevel=3)
        pyscf_guess = super().get_init_guess(self.mol, self.init_guess)  # type: ignore[misc,attr-defined]
        self.guess = Guess(pyscf_guess, False, reason, self.guess.commutator if self.guess else None)
        return np.asarray(pyscf_guess)

    def _accelerates(self) -> bool:
        """Decide whether this SCF is accelerated, say why not, and make the accelerator."""
        from pyscf.lib import logger

        self.acceleration = Acceleration("accelerate=False")
        if not self.accelerate:
            return False
        try:
            reason = reason_against(self, Seeded)
            if not reason:
                self.build(self.mol)  # type: ignore[attr-defined]
                keep_integrals(self)
                target = TARGET_SHARE * float(np.sqrt(self.conv_tol))  # type: ignore[attr-defined]
                self._accelerator = Accelerator(self, super().get_fock, target)  # type: ignore[misc]
        except Exception as error:  # PySCF's own loop needs none of this
            reason = f"{type(error).__name__}: {error}"
        self.acceleration = Acceleration(reason)
        if reason:
            logger.note(self, "The SCF is not accelerated: %s.", reason.rstrip("."))
        return not reason

    def _converge_cheaply(self, dm0: NDArray[np.float64] | None, options: dict[str, Any]) -> NDArray[np.float64]:
        """Start density, given, of earlier orbitals, or guessed, after the cheap operator has converged from it."""
        if dm0 is None and self.mo_coeff is not None and self.mo_occ is not None:  # type: ignore[attr-defined]
            dm0 = self.make_rdm1()  # type: ignore[attr-defined]
        if dm0 is None:
            start = self.get_init_guess(self.mol, self.init_guess, **options)  # type: ignore[attr-defined]
        else:
            start = dm0
            self.guess = Guess(np.asarray(dm0), False, "A density matrix was given.")
        assert self._accelerator is not None
        try:
            return self._accelerator.start(start, given=dm0 is not None)
        except Exception as error:  # such as a start of another shape, about which PySCF has its own say
            self._stop_accelerating(str(error))
            return start

    def _stop_accelerating(self, reason: str) -> None:
        """Go on with PySCF's own loop."""
        from pyscf.lib import logger

        logger.note(self, "The SCF is not accelerated any longer: %s", reason)
        self._close_accelerator()
        self.acceleration.reason = reason

    def _close_accelerator(self) -> None:
        """Keep the count of the cheap builds and free their integrals."""
        if self._accelerator is not None:
            self.acceleration.cheap_builds = self._accelerator.cheap.builds
        self._first, self._accelerator = None, None

    def _is_default(self, key: object) -> bool:
        """Whether a name of a start is PySCF's default, so that nobody has asked for it."""
        default = str(getattr(type(self), "init_guess", "minao")).lower()
        return isinstance(key, str) and key.lower() in ("minao", default)

    def _test_start(self, mol: Mole, density: NDArray[np.float64]) -> tuple[Any, float]:
        """Effective potential of a start, cheap where the SCF is accelerated, and the commutator norm with it."""
        if self._accelerator is None:
            self.acceleration.full_builds += self._running
            potential = super().get_veff(mol, density)  # type: ignore[misc]
        else:
            potential = self._accelerator.potential(density)
        fock = np.asarray(self.get_hcore(mol) + potential)  # type: ignore[attr-defined]
        return potential, commutator_norm(fock, density, self.get_ovlp(mol))  # type: ignore[attr-defined]

    def _tell_functional(self) -> None:
        from pyscf.dft import libxc
        from pyscf.lib import logger

        functional, start_functional = getattr(self, "xc", "hf"), self.start_functional
        if libxc.parse_xc(functional) != parsed_functional(start_functional):
            logger.note(
                self, "The initial guess is a prediction for %s; this calculation uses %s.", start_functional,
                functional
            )


def _require_mean_field(mf: MeanField) -> None:
    """Refuse what is no SCF.

    Raises:
        NotMeanFieldError: It is a molecule, a method beyond SCF, or nothing of PySCF.
    """
    from pyscf import scf

    if not isinstance(mf, scf.hf.SCF):
        raise NotMeanFieldError(
            f"seed takes a mean-field object of PySCF, such as dft.RKS(mol); got {type(mf).__name__}. For the density "
            "matrix of a molecule use harmose_dft.initial_density(mol)."
        )


def _rebuild(plain: MeanField, start: Start, functional: str, accelerate: bool) -> MeanField:
    """A seeded object out of a pickle."""
    return seed_with(plain, start, functional, accelerate=accelerate)

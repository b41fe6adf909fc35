"""Where boards/, templates/ and firmware/ are: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

from harembed.errors import HarembedError

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """Return the folder of one kind of resource.

    Parameters
    ----------
    name : str    "boards", "templates" or "firmware"

    Raises
    ------
    HarembedError    if the installation lacks the folder
    """
    for root in (_PACKAGE / "_resources", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise HarembedError(
        f"The installation of harembed has no {name}/ folder beside {_PACKAGE}.",
        "Reinstall with `pip install --force-reinstall .` from a checkout.",
    )

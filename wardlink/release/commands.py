"""The command `wardlink release`: make, sign and check what gateways are updated with. Its key never goes to a hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from edge.durable import replace_file
from edge.update.install import interpreter, machine, trusted_keys
from protocols.release import Head, ReleaseError, key_id, signed_by
from wardlink.release.building import build as make
from wardlink.release.building import check_files, head_of, sign_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

app = typer.Typer(
    name="wardlink release",
    help="Releases of the agent: key, build, sign, verify.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ReleaseArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The release.")]


@app.command()
def key(
    private: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Where the private key goes; the public one beside it, as FILE.pub.pem."),
    ],
) -> None:
    """Make a key to sign with: Ed25519, the private half encrypted with a passphrase that is asked for."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    passphrase = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    made = Ed25519PrivateKey.generate()
    secret = made.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(passphrase.encode())
    )
    public = made.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    beside = private.with_name(private.name + ".pub.pem")
    try:
        if private.exists():
            _fail(f"{private} is there already")
        replace_file(private, secret, mode=0o600)
        beside.write_bytes(public)
    except OSError as error:
        _fail(str(error))
    print(f"{key_id(made.public_key()).hex()}: {private} signs, {beside} belongs into the release-keys of gateways.")


@app.command()
def build(
    wheels: Annotated[Path, typer.Argument(metavar="DIR", help="The wheels: of wardlink, and of what it needs.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The release.")],
    oldest_from: Annotated[
        str, typer.Option("--from", metavar="VERSION", help="The oldest version that may go over to it.")
    ] = "0.1.0",
    downgrade_from: Annotated[
        str, typer.Option("--downgrade-from", metavar="VERSION", help="A newer version that may go back to this one.")
    ] = "",
    python: Annotated[str, typer.Option("--python", help="Interpreter, as cp311.")] = interpreter(),
    platform: Annotated[str, typer.Option("--machine", help="Machine, as linux_x86_64.")] = machine(),
) -> None:
    """Put wheels together to a release that nobody has signed yet."""
    try:
        head = make(
            sorted(wheels.glob("*.whl")), to, python=python, machine=platform,
            oldest_from=oldest_from, downgrade_from=downgrade_from,
        )  # fmt: skip
    except (ReleaseError, OSError) as error:
        _fail(str(error))
    _tell(head)


@app.command()
def sign(
    release: ReleaseArgument,
    private: Annotated[
        list[Path], typer.Option("--key", metavar="FILE", help="Private key (PEM); may be given several times.")
    ],
) -> None:
    """Sign a release; those that others made stay. An encrypted key asks for its passphrase."""
    try:
        check_files(release, head_of(release))
        head = sign_file(release, [_private(path) for path in private])
    except (ReleaseError, OSError) as error:
        _fail(str(error))
    _tell(head)


@app.command()
def verify(
    release: ReleaseArgument,
    keys: Annotated[
        Path, typer.Option("--keys", metavar="DIR", help="Folder of the public keys (*.pem) that are trusted.")
    ],
) -> None:
    """Check signatures and files as a gateway does, and say what is in it."""
    try:
        head = head_of(release)
        by = signed_by(head.manifest_bytes, head.signatures, trusted_keys(keys))
        check_files(release, head)
    except (ReleaseError, OSError) as error:
        _fail(str(error))
    if by is None:
        _fail(f"none of the keys in {keys} has signed it")
    _tell(head)
    print(f"  signed by {key_id(by).hex()}, all files as signed")


def _private(path: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = path.read_bytes()
    passphrase = typer.prompt(f"Passphrase of {path}", hide_input=True, err=True) if b"ENCRYPTED" in data else None
    try:
        loaded = load_pem_private_key(data, passphrase and str(passphrase).encode())
    except (ValueError, TypeError) as error:
        raise ReleaseError("signature", f"{path} cannot be used: {error}") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ReleaseError("signature", f"{path} is no Ed25519 key")
    return loaded


def _tell(head: Head) -> None:
    manifest = head.manifest
    print(f"wardlink {manifest.version} for {manifest.python} on {manifest.machine}, {head.archive_bytes} bytes")
    print(f"  {head.digest.hex()}")
    signers = ", ".join(one.key_id.hex() for one in head.signatures) or "nobody yet"
    print(f"  {len(manifest.files)} wheels; from {manifest.oldest_from} on; keys named as signers: {signers}")
    if manifest.downgrade_from:
        print(f"  {manifest.downgrade_from} may go back to it")


def _fail(text: str) -> NoReturn:
    typer.echo(f"error: {text}", err=True)
    raise typer.Exit(1)

"""An exported folder sent to the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from xtransfer.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def check_name(repo: str) -> None:
    """Refuse a name that cannot be one on the hub, before anything is done.

    Raises:
        ConfigError: It is not of the form ``owner/name``.
    """
    if not NAME.fullmatch(repo):
        raise ConfigError(f"'{repo}' is no name on the hub: expected owner/name, such as my-group/xlmr-tydiqa")


def publish(folder: Path, repo: str, public: bool) -> str:
    """Send a folder to a model repository, which is made if it is not there, and return its address.

    Args:
        folder: The folder.
        repo: ``owner/name``.
        public: Let everyone see it; otherwise a new repository is private, and one that is public already is refused.

    Raises:
        ConfigError: The hub refuses, cannot be reached, or the repository is public; says what to do.
    """
    from huggingface_hub import HfApi

    api, again = HfApi(), f"hf upload {repo} {folder}{'' if public else ' --private'}"
    kept = f"{folder} is written; once this is mended: {again}"
    try:
        api.create_repo(repo, private=not public, exist_ok=True)
        seen = not api.repo_info(repo).private
    except Exception as error:  # they come from several libraries, and all mean the same to the user
        raise ConfigError(f"the hub does not take '{repo}': {_reason(error)}. {_advice(error, repo)} {kept}") from error
    if seen and not public:
        raise ConfigError(
            f"'{repo}' is public on the hub, and nothing was sent: name another repository, or give --public; {folder} "
            "is written and has to be removed before"
        )
    try:
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Exported by xtransfer")
    except Exception as error:
        raise ConfigError(f"sending to '{repo}' failed: {_reason(error)}. {_advice(error, repo)} {kept}") from error
    return f"https://huggingface.co/{repo}"


def _reason(error: Exception) -> str:
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def _advice(error: Exception, repo: str) -> str:
    """Return what a user can do about an error of the hub."""
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "Unset HF_HUB_OFFLINE."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, LocalTokenNotFoundError) or status == 401:
        return "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
    if status in (403, 404):
        return f"Use a token that may write to the models of '{repo.partition('/')[0]}': see `hf auth whoami`."
    return "Check the network, and the name."

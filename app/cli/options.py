"""Options that mean the same in several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import API_KEY

if TYPE_CHECKING:
    from app.api.schemas.requests import ReviewParameters

Model = Annotated[str | None, typer.Option(help="Alias, folder or hub id; see 'reviewer models'.")]
Url = Annotated[
    str | None,
    typer.Option(
        help="Address of a running service. Without it, the command starts a service of its own "
        "and stops it at the end."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar=API_KEY,
        help="API key of that service. Safer in the environment: other users of this machine can "
        "see a command line.",
    ),
]
Template = Annotated[
    str, typer.Option(help="Review template: default, iclr, acl, ... or one of your own.")
]
Samples = Annotated[
    int,
    typer.Option(
        min=1,
        max=16,
        help="Reviews to draw of each paper. The one nearest their mean probability is returned.",
    ),
]
VerdictOnly = Annotated[
    bool, typer.Option("--verdict-only", help="Ask for the verdict only, with one token.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole resource as JSON.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]


def review_parameters(
    model: str | None, template: str, samples: int, *, verdict_only: bool
) -> ReviewParameters:
    """The request's parameters. ``model`` makes sure that the service runs that one."""
    from app.api.schemas.requests import ReviewParameters

    return ReviewParameters(
        model=model,
        template=template,
        samples=samples,
        mode="verdict" if verdict_only else "review",
    )

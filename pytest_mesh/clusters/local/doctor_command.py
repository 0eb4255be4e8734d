"""``pytest-mesh doctor``: prints the doctor's findings; exit code 0 when the default backend works, else 1."""

from __future__ import annotations

import json
import sys

import click

from pytest_mesh.clusters.local import doctor, doctor_probes


@click.command("doctor")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(output: str) -> None:
    """Say what this machine can do, what is missing and how to get it."""
    findings = doctor.judge(doctor_probes.thorough())
    works = doctor.works(findings)
    if output == "json":
        document = {
            "default_backend": doctor.DEFAULT_BACKEND,
            "works": works,
            "findings": [finding.to_json() for finding in findings],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for finding in findings:
            click.echo(line(finding))
        click.echo()
        click.echo(f"--mesh-cluster={doctor.DEFAULT_BACKEND} works here" if works else doctor.first_missing(findings))
    sys.exit(0 if works else 1)


def line(finding: doctor.Finding) -> str:
    """Give one finding as text; what is missing says what for and how to get it."""
    if finding.ok:
        return f"ok       {finding.name}" + (f": {finding.detail}" if finding.detail else "")
    word = "MISSING" if finding.required else "absent "
    parts = [f"{word}  {finding.name}" + (f": {finding.detail}" if finding.detail else "")]
    parts.append(f"           needed for: {finding.needed_for}")
    parts.append(f"           fix: {finding.fix}")
    parts.append(f"           works without: {', '.join(finding.works_without)}")
    return "\n".join(parts)

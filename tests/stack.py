"""The stack: what CloudFormation is really given, after the SAM transform."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.artifact import find_sam
from tests.interpreters import ROOT

__all__ = ["Json", "properties", "stack"]

Json = dict[str, Any]

# Run by the SAM CLI's own interpreter: the translator lives in its environment.
TRANSFORM = """
import json, sys
import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    if "CodeUri" in resource.get("Properties", {}):
        resource["Properties"]["CodeUri"] = "s3://bucket/key"  # as `sam deploy` does after the upload
translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
json.dump(translator.translate(template, {}), sys.stdout)
"""


@pytest.fixture(scope="session")
def stack() -> Json:
    """The template after the transform, parameters at their defaults."""
    python = find_sam().resolve().parent / "python"
    done = subprocess.run(
        [str(python), "-c", TRANSFORM],
        input=(ROOT / "template.yaml").read_text(),
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(done.stderr, pytrace=False)
    transformed: Json = json.loads(done.stdout)
    return transformed


def properties(resources: Json, name: str) -> Json:
    """Return those of a resource."""
    found: Json = resources[name]["Properties"]
    return found

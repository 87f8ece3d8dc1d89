"""The stack's second half: the management function, its role, its API, and the events that fit it."""

import base64
import json
from typing import Any

import pytest

from tests.interpreters import ROOT
from tests.stack import Json, properties

EVENTS = [
    name
    for name, expected in json.loads((ROOT / "events" / "expected.json").read_text()).items()
    if expected["function"] == "ManagementFunction"
]
METHODS = {"/openapi.json": ["get"], "/models": ["get"], "/models/{proxy+}": ["get", "post"]}
MODELS = {"Fn::Sub": "${ModelBucket.Arn}/${StorePrefix}/models/*"}


@pytest.fixture(scope="session")
def resources(stack: Json) -> Json:
    found: Json = stack["Resources"]
    return found


@pytest.fixture(scope="session")
def paths(resources: Json) -> Json:
    found: Json = properties(resources, "ManagementApi")["Body"]["paths"]
    return found


def test_a_parameter_leaves_all_of_it_out(stack: Json, resources: Json) -> None:
    assert stack["Conditions"]["HasManagement"] == {"Fn::Equals": [{"Ref": "Management"}, "On"]}
    managing = {name for name in resources if name.startswith("Management")}
    assert {name for name, found in resources.items() if found.get("Condition") == "HasManagement"} == managing
    assert sorted(resources[name]["Type"] for name in managing) == [
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Stage",
        "AWS::IAM::Role",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
    ]
    outputs = {name for name, found in stack["Outputs"].items() if found.get("Condition") == "HasManagement"}
    assert outputs == {"ManagementUrl", "ManagementFunctionName"}


def test_nothing_else_rests_on_what_may_be_left_out(resources: Json, stack: Json) -> None:
    others = {name: found for name, found in resources.items() if not name.startswith("Management")}
    outputs = {name: found for name, found in stack["Outputs"].items() if not name.startswith("Management")}
    assert "Management" not in json.dumps([others, outputs])


def test_every_method_takes_requests_only_that_iam_has_authorised(resources: Json, paths: Json) -> None:
    body = properties(resources, "ManagementApi")["Body"]
    scheme = body["components"]["securitySchemes"]["AWS_IAM"]
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Authorization")
    assert {path: sorted(methods) for path, methods in paths.items()} == METHODS
    for methods in paths.values():
        for operation in methods.values():
            assert operation["security"] == [{"AWS_IAM": []}]


def test_every_method_calls_the_management_function(paths: Json) -> None:
    for methods in paths.values():
        for operation in methods.values():
            integration = operation["x-amazon-apigateway-integration"]
            assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")
            assert integration["uri"]["Fn::Sub"].endswith("/functions/${ManagementFunction.Arn}/invocations")
            assert "credentials" not in integration  # the API's own permission, whoever asks


def test_all_bodies_are_binary_and_refusals_are_in_the_form_of_the_function(resources: Json) -> None:
    api = properties(resources, "ManagementApi")
    assert api["Body"]["x-amazon-apigateway-binary-media-types"] == api["BinaryMediaTypes"] == ["*/*"]
    for answer in api["Body"]["x-amazon-apigateway-gateway-responses"].values():
        text = answer["responseTemplates"]["application/json"].replace("$context.error.messageString", '"reason"')
        assert list(json.loads(text)) == ["error", "code"]


def test_the_stage_is_throttled(resources: Json) -> None:
    stage = properties(resources, "ManagementApiStage")
    assert stage["StageName"] == {"Ref": "StageName"}
    [setting] = stage["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert setting["ThrottlingRateLimit"] <= 10
    assert setting["ThrottlingBurstLimit"] <= 20


def test_only_this_api_may_call_the_function(resources: Json) -> None:
    permission = properties(resources, "ManagementPermission")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["FunctionName"] == {"Ref": "ManagementFunction"}
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${ManagementApi}/${StageName}/*/*")


def test_the_role_reads_creates_and_swaps_and_nothing_else(resources: Json) -> None:
    role = properties(resources, "ManagementRole")
    assert set(role) <= {"AssumeRolePolicyDocument", "Policies", "Tags"}  # no managed policies
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {"Sid": "ReadModels", "Effect": "Allow", "Action": "s3:GetObject", "Resource": MODELS},
        {
            "Sid": "CreateInModels",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": MODELS,
            "Condition": {"Null": {"s3:if-none-match": "false"}},
        },
        {
            "Sid": "SwapAliases",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": {"Fn::Sub": "${ModelBucket.Arn}/${StorePrefix}/models/*/aliases.json"},
            "Condition": {"Null": {"s3:if-match": "false"}},
        },
        {
            "Sid": "ListModels",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": {"Fn::GetAtt": ["ModelBucket", "Arn"]},
            "Condition": {"StringLike": {"s3:prefix": {"Fn::Sub": "${StorePrefix}/models/*"}}},
        },
        {
            "Sid": "WriteOwnLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::GetAtt": ["ManagementLogGroup", "Arn"]},
        },
    ]


def test_the_function_is_built_and_set_up_as_the_other_one_is(resources: Json) -> None:
    function, other = properties(resources, "ManagementFunction"), properties(resources, "InferenceFunction")
    for name in ("Runtime", "Architectures", "MemorySize"):
        assert function[name] == other[name]
    assert resources["ManagementFunction"]["Metadata"] == resources["InferenceFunction"]["Metadata"]
    assert function["Handler"] == "handlers.management.handler"
    assert function["Role"] == {"Fn::GetAtt": ["ManagementRole", "Arn"]}
    assert function["Timeout"] == 29  # API Gateway's
    assert function["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": {"Ref": "ManagementLogGroup"}}
    assert properties(resources, "ManagementLogGroup")["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    variables, others = function["Environment"]["Variables"], other["Environment"]["Variables"]
    assert variables == {name: others[name] for name in variables}
    assert set(variables) == {
        "LAMBDASERVE_STORE",
        "LAMBDASERVE_MODEL_MEMORY_MB",
        "LAMBDASERVE_MAX_BODY_BYTES",
        "LAMBDASERVE_LOG_LEVEL",
        "AWS_ENDPOINT_URL_S3",
    }


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_what_the_api_sends(name: str, paths: Json) -> None:
    event: dict[str, Any] = json.loads((ROOT / "events" / name).read_text())
    infer: dict[str, Any] = json.loads((ROOT / "events" / "infer.json").read_text())
    assert set(event) == set(infer)
    assert {header: [value] for header, value in event["headers"].items()} == event["multiValueHeaders"]
    assert event["httpMethod"].lower() in paths[event["resource"]]
    context = event["requestContext"]
    assert set(context) == set(infer["requestContext"])
    assert context["path"] == f"/{context['stage']}{event['path']}"
    assert (context["resourcePath"], context["httpMethod"]) == (event["resource"], event["httpMethod"])
    assert context["identity"]["userArn"].startswith("arn:aws:sts::123456789012:assumed-role/")
    proxy = (event["pathParameters"] or {"proxy": ""})["proxy"]
    assert event["resource"].replace("{proxy+}", proxy) == event["path"]
    assert event["isBase64Encoded"] == (event["body"] is not None) == (event["httpMethod"] == "POST")
    if event["isBase64Encoded"]:
        assert json.loads(base64.b64decode(event["body"], validate=True))["version"]

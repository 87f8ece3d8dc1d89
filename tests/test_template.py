"""The stack: what CloudFormation is really given, after the SAM transform, and the events that fit it."""

import base64
import hashlib
import json
import re
import subprocess
import time
from typing import Any

import pytest

from tests.artifact import RUNTIME, find_sam, run_sam
from tests.interpreters import ROOT
from tests.stack import Json, properties

EVENTS = sorted(path.name for path in (ROOT / "events").glob("*.json") if path.name != "expected.json")
EXPECTED = json.loads((ROOT / "events" / "expected.json").read_text())
HTTP_EVENTS = [name for name in EVENTS if name.startswith("infer-http-api")]
REST_EVENTS = [name for name in EVENTS if name not in HTTP_EVENTS and EXPECTED[name]["function"] == "InferenceFunction"]
METHODS = {
    "/v2/health/live": ["get", "head", "options"],
    "/v2/health/ready": ["get", "head", "options"],
    "/v2": ["get", "head", "options"],
    "/v2/{proxy+}": ["get", "head", "options", "post"],
    "/docs": ["get", "head", "options"],
    "/docs/{file}": ["get", "head", "options"],
    "/{proxy+}": ["get", "head", "options", "post"],
}
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready", "/docs", "/docs/{file}")
OPEN_METHODS = {
    (path, method)
    for path, methods in METHODS.items()
    for method in methods
    if path in OPEN_PATHS or method == "options"
}

FUNCTION_ARN = {"Fn::GetAtt": ["InferenceFunction", "Arn"]}
CURRENT = {"Ref": "InferenceFunctionAliascurrent"}


@pytest.fixture(scope="session")
def resources(stack: Json) -> Json:
    """What there is for inference; tests/test_management_template.py looks at the rest."""
    return {name: found for name, found in stack["Resources"].items() if found.get("Condition") != "HasManagement"}


@pytest.fixture(scope="session")
def paths(resources: Json) -> Json:
    found: Json = resources["InferenceApi"]["Properties"]["Body"]["paths"]
    return found


def deployed(stack: Json, **parameters: object) -> Json:
    """Return the resources as CloudFormation makes them with these parameters: what refers to others stays."""
    values = {name: parameter["Default"] for name, parameter in stack["Parameters"].items()} | parameters

    def decide(condition: Json) -> bool:
        ((kind, (*arguments,)),) = condition.items()
        if kind == "Fn::Not":
            return not decide(arguments[0])
        assert kind == "Fn::Equals"
        one, other = map(resolve, arguments)
        return bool(one == other)

    def resolve(node: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(node, list):
            return [resolve(member) for member in node]
        if not isinstance(node, dict):
            return node
        if node.keys() == {"Fn::If"}:
            name, yes, no = node["Fn::If"]
            return resolve(yes if decide(stack["Conditions"][name]) else no)
        if node.keys() == {"Ref"}:
            return values.get(node["Ref"], node)
        if node.keys() == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
            text = node["Fn::Sub"]
            for name, value in values.items():
                text = text.replace(f"${{{name}}}", str(value))
            return {"Fn::Sub": text} if "${" in text else text
        found = {name: resolve(member) for name, member in node.items()}
        return {name: member for name, member in found.items() if member != {"Ref": "AWS::NoValue"}}

    resources: Json = resolve(stack["Resources"])
    return resources


def only(resources: Json, kind: str) -> tuple[str, Json]:
    """Return name and properties of the only resource of that type."""
    ((name, resource),) = ((name, found) for name, found in resources.items() if found["Type"] == kind)
    return name, resource["Properties"]


def called(resources: Json) -> list[Json]:
    """Return what the API's methods call, each once."""
    paths = resources["InferenceApi"]["Properties"]["Body"]["paths"]
    integrations = [
        operation["x-amazon-apigateway-integration"] for methods in paths.values() for operation in methods.values()
    ]
    found: list[Json] = []
    for integration in integrations:
        if (target := integration["uri"]["Fn::Sub"][1]["called"]) not in found:
            found.append(target)
    return found


def test_sam_finds_nothing_to_complain_about() -> None:
    done = run_sam("validate", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_nothing_is_deployed_that_nobody_asked_for(resources: Json) -> None:
    kinds = sorted(resource["Type"] for resource in resources.values())
    assert kinds == [
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Stage",
        "AWS::ApiGateway::UsagePlan",
        "AWS::ApiGateway::UsagePlanKey",
        "AWS::IAM::Role",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Function",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::S3::BucketPolicy",
    ]


def test_every_method_needs_a_key_but_health_the_page_and_options(resources: Json, paths: Json) -> None:
    body = properties(resources, "InferenceApi")["Body"]
    scheme = {"type": "apiKey", "name": "x-api-key", "in": "header"}
    assert body["components"]["securitySchemes"] == {"api_key": scheme}
    assert body["x-amazon-apigateway-api-key-source"] == "HEADER"
    found_open = set()
    for path, methods in paths.items():
        for method, operation in methods.items():
            if operation["security"] != [{"api_key": []}]:
                assert operation["security"] == []
                found_open.add((path, method))
    assert found_open == OPEN_METHODS


def test_only_named_methods_reach_the_function(paths: Json) -> None:
    methods = {path: sorted(operations) for path, operations in paths.items()}
    assert methods == METHODS
    for operations in paths.values():
        for operation in operations.values():
            integration = operation["x-amazon-apigateway-integration"]
            assert integration["type"] == "aws_proxy"
            assert integration["httpMethod"] == "POST"
            address, parts = integration["uri"]["Fn::Sub"]
            assert address.endswith(":lambda:path/2015-03-31/functions/${called}/invocations")
            assert parts == {"called": {"Fn::If": ["HasSnapStart", CURRENT, FUNCTION_ARN]}}


def test_all_bodies_are_binary_and_refusals_speak_the_protocol(resources: Json) -> None:
    api = properties(resources, "InferenceApi")
    assert api["Body"]["x-amazon-apigateway-binary-media-types"] == ["*/*"]
    assert api["BinaryMediaTypes"] == ["*/*"]
    for answer in api["Body"]["x-amazon-apigateway-gateway-responses"].values():
        text = answer["responseTemplates"]["application/json"].replace("$context.error.messageString", '"reason"')
        assert list(json.loads(text)) == ["error"]
        anybody = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}
        assert answer["responseParameters"] == {"Fn::If": ["HasCors", anybody, {"Ref": "AWS::NoValue"}]}


def test_the_usage_plan_holds_the_key_and_the_stage(resources: Json) -> None:
    (stage,) = (name for name, resource in resources.items() if resource["Type"] == "AWS::ApiGateway::Stage")
    assert properties(resources, stage)["StageName"] == {"Ref": "StageName"}
    plan = properties(resources, "UsagePlan")
    assert plan["ApiStages"] == [{"ApiId": {"Ref": "InferenceApi"}, "Stage": {"Ref": stage}}]
    assert plan["Throttle"] == {"RateLimit": {"Ref": "RateLimit"}, "BurstLimit": {"Ref": "BurstLimit"}}
    assert plan["Quota"] == {"Limit": {"Ref": "QuotaPerDay"}, "Period": "DAY"}
    link = {"KeyId": {"Ref": "ApiKey"}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": "UsagePlan"}}
    assert properties(resources, "UsagePlanKey") == link


def test_what_needs_no_key_is_throttled_by_the_stage(resources: Json) -> None:
    (stage,) = (resource for resource in resources.values() if resource["Type"] == "AWS::ApiGateway::Stage")
    bounded = {
        (setting["ResourcePath"].removeprefix("/").replace("~1", "/"), setting["HttpMethod"].lower())
        for setting in stage["Properties"]["MethodSettings"]
        if setting["ThrottlingRateLimit"] <= 10 and setting["ThrottlingBurstLimit"] <= 20
    }
    assert bounded == OPEN_METHODS


def test_the_role_may_read_its_models_move_payloads_write_its_log_and_nothing_else(resources: Json) -> None:
    role = properties(resources, "InferenceRole")
    assert set(role) <= {"AssumeRolePolicyDocument", "Policies", "Tags"}  # no managed policies
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    (policy,) = role["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "ReadModels",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": {"Fn::Sub": "${ModelBucket.Arn}/${StorePrefix}/models/*"},
        },
        {
            "Sid": "ListModels",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": {"Fn::GetAtt": ["ModelBucket", "Arn"]},
            "Condition": {"StringLike": {"s3:prefix": {"Fn::Sub": "${StorePrefix}/models/*"}}},
        },
        {
            "Sid": "MovePayloads",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": {"Fn::Sub": "${PayloadBucket.Arn}/payloads/*"},
        },
        {
            "Sid": "MissPayloads",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": {"Fn::GetAtt": ["PayloadBucket", "Arn"]},
            "Condition": {"StringLike": {"s3:prefix": "payloads/*"}},
        },
        {
            "Sid": "WriteOwnLog",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::GetAtt": ["InferenceLogGroup", "Arn"]},
        },
    ]


def test_the_role_can_write_nowhere_but_to_its_payloads_and_its_log(resources: Json) -> None:
    reading = {"s3:GetObject", "s3:ListBucket"}
    writing = []
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    actions = statement["Action"]
                    writing += [
                        (action, statement["Resource"])
                        for action in ([actions] if isinstance(actions, str) else actions)
                        if action not in reading
                    ]
    log = {"Fn::GetAtt": ["InferenceLogGroup", "Arn"]}
    assert writing == [
        ("s3:PutObject", {"Fn::Sub": "${PayloadBucket.Arn}/payloads/*"}),
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
    ]
    # and where the function is told to put them is where it may
    assert properties(resources, "InferenceFunction")["Environment"]["Variables"]["LAMBDASERVE_PAYLOADS"] == {
        "Fn::Sub": "s3://${PayloadBucket}/payloads"
    }


def test_only_this_api_may_call_the_function(resources: Json) -> None:
    permission = properties(resources, "InferencePermission")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${InferenceApi}/${StageName}/*/*")


def test_without_snapstart_the_function_itself_is_called_and_no_snapshot_taken(stack: Json) -> None:
    resources = deployed(stack, SnapStart="Off")

    assert deployed(stack) == resources
    assert properties(resources, "InferenceFunction")["SnapStart"] == {"ApplyOn": "None"}
    assert called(resources) == [FUNCTION_ARN]
    assert properties(resources, "InferencePermission")["FunctionName"] == {"Ref": "InferenceFunction"}


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_with_snapstart_a_version_with_a_snapshot_is_called(stack: Json, architecture: str) -> None:
    resources = deployed(stack, SnapStart="On", Architecture=architecture)

    function = properties(resources, "InferenceFunction")
    assert function["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert function["Architectures"] == [architecture]
    # what Lambda does not take together with SnapStart
    assert not {"EphemeralStorage", "FileSystemConfigs", "ImageConfig"} & set(function)
    version, of_version = only(resources, "AWS::Lambda::Version")
    assert of_version["FunctionName"] == {"Ref": "InferenceFunction"}
    assert "ProvisionedConcurrencyConfig" not in of_version
    alias, of_alias = only(resources, "AWS::Lambda::Alias")
    assert of_alias["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
    assert "ProvisionedConcurrencyConfig" not in of_alias
    assert called(resources) == [{"Ref": alias}]
    assert properties(resources, "InferencePermission")["FunctionName"] == {"Ref": alias}


def test_versions_that_were_replaced_are_deleted_as_their_snapshots_cost(resources: Json) -> None:
    version, _ = only(resources, "AWS::Lambda::Version")
    assert resources[version]["DeletionPolicy"] == "Delete"
    assert resources[version].get("UpdateReplacePolicy", "Delete") == "Delete"


def test_with_snapstart_any_parameter_that_changes_the_function_publishes_a_version(stack: Json) -> None:
    before = deployed(stack, SnapStart="On")
    changing = set()
    for name, parameter in stack["Parameters"].items():
        choices = [value for value in parameter.get("AllowedValues", ()) if value != parameter["Default"]]
        other = "Off" if name == "SnapStart" else choices[0] if choices else parameter.get("MinValue", "other")
        after = deployed(stack, **{"SnapStart": "On", name: other})
        published = [only(resources, "AWS::Lambda::Version")[1].get("Description") for resources in (before, after)]
        if properties(before, "InferenceFunction") != properties(after, "InferenceFunction"):
            changing.add(name)
            assert published[0] != published[1], name
        else:  # Lambda publishes none of a function that is as it was
            assert published[0] == published[1], name

    assert changing >= {"Models", "MemorySize", "LogLevel", "Timeout", "Alias", "Snapshot", "SnapStart"}


def test_parameters_fit_into_the_description_of_a_version(stack: Json) -> None:
    eight = ",".join(f"sentence-encoder-{number}" for number in range(8))
    resources = deployed(stack, SnapStart="On", Models=eight, CorsOrigins="https://app.example.com")
    assert len(only(resources, "AWS::Lambda::Version")[1]["Description"]) <= 256


def test_cloudformation_replaces_a_version_whose_description_changes() -> None:
    code = """
import json
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::Lambda::Version").schema
print(json.dumps(schema["createOnlyProperties"]))
"""
    python = find_sam().resolve().parent / "python"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    assert "/properties/Description" in json.loads(done.stdout)


def test_the_api_is_deployed_anew_each_time_as_sam_sees_no_change_of_a_condition(resources: Json) -> None:
    deployment, _ = only(resources, "AWS::ApiGateway::Deployment")
    moments = range(int(time.time()) - 3600, int(time.time()) + 1)
    names = {f"InferenceApiDeployment{hashlib.sha1(str(s).encode()).hexdigest()[:10]}" for s in moments}  # noqa: S324
    assert deployment in names


def test_the_bucket_is_private_encrypted_and_outlives_the_stack(resources: Json) -> None:
    bucket = properties(resources, "ModelBucket")
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    blocks = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(blocks, True)
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    assert rules["abort-unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules["expire-overwritten-objects"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert rules["expire-delete-markers"]["ExpiredObjectDeleteMarker"] is True
    # an expiry of current objects would delete models
    assert not [rule for rule in rules.values() if {"ExpirationInDays", "ExpirationDate"} & set(rule)]
    for name in ("ModelBucket", "ModelBucketPolicy"):
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"


def test_payloads_are_private_encrypted_and_gone_after_a_day(resources: Json) -> None:
    bucket = properties(resources, "PayloadBucket")
    for name in ("BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls"):
        assert bucket[name] == properties(resources, "ModelBucket")[name]
    assert bucket["LifecycleConfiguration"]["Rules"] == [
        {
            "Id": "expire-payloads",
            "Status": "Enabled",
            "ExpirationInDays": 1,
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        }
    ]
    assert not {"VersioningConfiguration", "CorsConfiguration", "BucketName", "AccessControl"} & set(bucket)
    for name in ("PayloadBucket", "PayloadBucketPolicy"):
        assert resources[name]["DeletionPolicy"] == "Retain"
        assert resources[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("bucket", ["ModelBucket", "PayloadBucket"])
def test_the_buckets_take_tls_only(resources: Json, bucket: str) -> None:
    assert properties(resources, f"{bucket}Policy")["Bucket"] == {"Ref": bucket}
    (statement,) = properties(resources, f"{bucket}Policy")["PolicyDocument"]["Statement"]
    assert statement == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_the_function_logs_text_into_a_group_that_forgets(resources: Json) -> None:
    logging = properties(resources, "InferenceFunction")["LoggingConfig"]
    assert logging == {"LogFormat": "Text", "LogGroup": {"Ref": "InferenceLogGroup"}}
    assert properties(resources, "InferenceLogGroup")["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_the_function_gets_its_settings(resources: Json) -> None:
    function = properties(resources, "InferenceFunction")
    assert function["Environment"]["Variables"] == {
        "LAMBDASERVE_STORE": {"Fn::Sub": "s3://${ModelBucket}/${StorePrefix}"},
        "LAMBDASERVE_MODELS": {"Ref": "Models"},
        "LAMBDASERVE_PINNED": {"Ref": "PinnedModels"},
        "LAMBDASERVE_MODEL_MEMORY_MB": {"Ref": "ModelMemory"},
        "LAMBDASERVE_ALIAS": {"Ref": "Alias"},
        "LAMBDASERVE_ALIAS_CHECK": {"Ref": "AliasCheck"},
        "LAMBDASERVE_MAX_BODY_BYTES": {"Ref": "MaxBodyBytes"},
        "LAMBDASERVE_PAYLOADS": {"Fn::Sub": "s3://${PayloadBucket}/payloads"},
        "LAMBDASERVE_MAX_PAYLOAD_BYTES": {"Ref": "MaxPayloadBytes"},
        "LAMBDASERVE_LOG_LEVEL": {"Ref": "LogLevel"},
        "LAMBDASERVE_CORS_ORIGINS": {"Ref": "CorsOrigins"},
        "AWS_ENDPOINT_URL_S3": "",
    }
    assert function["Handler"] == "handlers.inference.handler"
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    assert function["Timeout"] == {"Ref": "Timeout"}
    assert function["Role"] == {"Fn::GetAtt": ["InferenceRole", "Arn"]}


def test_the_function_never_outlives_the_api(stack: Json) -> None:
    """API Gateway gives up after 29 s: a longer invocation is paid for and answers nobody."""
    assert stack["Parameters"]["Timeout"]["MaxValue"] <= 29


def test_every_parameter_is_explained_bounded_and_used(stack: Json) -> None:
    rest = json.dumps([stack["Conditions"], stack["Resources"], stack["Outputs"]])
    for name, parameter in stack["Parameters"].items():
        assert parameter["Description"], name
        assert "Default" in parameter, name
        assert {"AllowedValues", "AllowedPattern", "MinValue"} & set(parameter), name
        assert f'{{"Ref": "{name}"}}' in rest or f"${{{name}}}" in rest, name
        if pattern := parameter.get("AllowedPattern"):
            assert re.fullmatch(pattern, parameter["Default"]), name


def test_the_package_is_built_for_the_python_and_the_processors_of_the_template(stack: Json, resources: Json) -> None:
    assert properties(resources, "InferenceFunction")["Runtime"] == f"python{RUNTIME}"
    makefile = (ROOT / "handlers" / "Makefile").read_text()
    assert f"LAMBDA_PYTHON ?= python{RUNTIME}\n" in makefile
    assert f"({RUNTIME.replace('.', ', ')})" in makefile
    for architecture in stack["Parameters"]["Architecture"]["AllowedValues"]:
        settings = (ROOT / "handlers" / "deployment" / architecture / "Makefile").read_text()
        assert f"ARCHITECTURE := {architecture}\n" in settings


def test_the_outputs_say_what_one_needs_next(stack: Json) -> None:
    buckets = {"ModelBucketName", "PayloadBucketName"}
    found = {name for name, output in stack["Outputs"].items() if "Condition" not in output}
    assert found == {"Url", "StoreUrl", "InferenceFunctionName", "ApiKeyId"} | buckets


def test_there_is_an_event_for_each_way_in() -> None:
    assert set(EVENTS) == set(EXPECTED)
    described = re.findall(r"^\| `(.+?)` ", (ROOT / "events" / "README.md").read_text(), re.MULTILINE)
    assert set(EVENTS) == set(described)


@pytest.mark.parametrize("name", REST_EVENTS)
def test_an_event_is_what_a_rest_api_sends(name: str, paths: Json) -> None:
    event = read_event(name)
    assert set(event) == {
        *("resource", "path", "httpMethod", "requestContext", "body", "isBase64Encoded", "stageVariables"),
        *("headers", "multiValueHeaders", "pathParameters"),
        *("queryStringParameters", "multiValueQueryStringParameters"),
    }
    assert {header: [value] for header, value in event["headers"].items()} == event["multiValueHeaders"]
    context = event["requestContext"]
    assert context["path"] == f"/{context['stage']}{event['path']}"
    assert (context["resourcePath"], context["httpMethod"]) == (event["resource"], event["httpMethod"])
    assert context["requestId"]
    assert context["identity"]["sourceIp"]

    method = (event["resource"], event["httpMethod"].lower())
    assert method[1] in paths[method[0]]
    assert ("x-api-key" in event["headers"]) == (method not in OPEN_METHODS)
    proxy = (event["pathParameters"] or {"proxy": ""})["proxy"]
    assert event["resource"].replace("{proxy+}", proxy) == event["path"]

    assert event["isBase64Encoded"] == (event["body"] is not None) == (event["httpMethod"] == "POST")
    if event["isBase64Encoded"]:
        assert event["headers"]["Content-Type"] == "application/json"
        assert {"inputs", "instances"} & set(read_body(event))


@pytest.mark.parametrize("name", HTTP_EVENTS)
def test_an_event_is_what_an_http_api_sends(name: str) -> None:
    event = read_event(name)
    assert set(event) == {
        *("version", "routeKey", "rawPath", "rawQueryString", "headers", "requestContext", "body", "isBase64Encoded")
    }
    assert event["version"] == "2.0"
    assert not event["isBase64Encoded"]  # JSON is text
    assert [header for header in event["headers"] if header != header.lower()] == []
    assert event["headers"]["content-length"] == str(len(event["body"].encode()))
    context = event["requestContext"]
    assert context["http"]["path"] == event["rawPath"]
    prefix = "" if context["stage"] == "$default" else f"/{context['stage']}"
    assert event["rawPath"] == f"{prefix}/v2/models/mnist-cnn/infer"
    assert json.loads(event["body"]) == read_body(read_event("infer.json"))


def test_the_inference_event_carries_one_digit() -> None:
    (image,) = read_body(read_event("infer.json"))["inputs"]
    assert (image["name"], image["datatype"], image["shape"]) == ("image", "FP32", [1, 1, 28, 28])
    pixels = [value * 255 for value in image["data"]]
    assert len(pixels) == 28 * 28
    assert all(abs(pixel - round(pixel)) < 0.02 for pixel in pixels)  # 255 times half of the fourth decimal
    assert {round(pixel) for pixel in pixels} >= {0, 254}


def read_event(name: str) -> Json:
    event: Json = json.loads((ROOT / "events" / name).read_text())
    return event


def read_body(event: Json) -> Json:
    body: Json = json.loads(base64.b64decode(event["body"], validate=True))
    return body

#!/usr/bin/python3
"""Stands in for Kaniko's executor, whose images cannot be pulled everywhere: takes its flags, says what it says,
and really builds and pushes, with buildah and skopeo.

It does as Kaniko does also where that hurts: an unknown flag is fatal, the context is read to its end before
anything else, the digest is written before the push, and an error leaves exit code 1 with a last line.
"""

import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# name -> takes a value. What the maintained fork knows; `google` leaves out what only the fork has.
VALUES = (
    "annotation build-arg cache-dir cache-repo cache-ttl compression compression-level context context-sub-path "
    "credential-helpers custom-platform destination digest-file dockerfile git ignore-path image-download-retry "
    "image-format image-fs-extract-retry image-name-tag-with-digest-file image-name-with-digest-file insecure-registry "
    "kaniko-dir label log-format oci-layout-path push-retry registry-certificate registry-client-cert registry-map "
    "registry-mirror secret skip-tls-verify-registry snapshot-mode tar-path target verbosity"
).split()
SWITCHES = (
    "cache cache-copy-layers cache-run-layers cleanup compressed-caching dryrun force ignore-var-run insecure "
    "insecure-pull log-timestamp materialize no-push no-push-cache pre-cleanup preserve-context "
    "push-ignore-immutable-tag-errors reproducible single-snapshot skip-default-registry-fallback "
    "skip-push-permission-check skip-tls-verify skip-tls-verify-pull skip-unused-stages use-new-run"
).split()
FORK_ONLY = (
    "annotation credential-helpers dryrun image-format materialize pre-cleanup preserve-context secret"
).split()

CONTEXT = "/kaniko/buildcontext"
AUTH = "/kaniko/.docker/config.json"
LAYOUT = "oci:/kaniko/layout:image"
STORAGE = ["--storage-driver", "vfs", "--root", "/kaniko/storage", "--runroot", "/kaniko/run"]


def say(message, level="info"):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(json.dumps({"level": level, "msg": message, "time": now}), flush=True)


def fail(message):
    print(message, flush=True)
    sys.exit(1)


def parse(words):
    flags, words = {}, list(words)
    google = os.environ.get("EXECUTOR") == "google"
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        known = name in VALUES or name in SWITCHES
        if not word.startswith("--") or not known or (google and name in FORK_ONLY):
            fail(f"Error: unknown flag: {word}")
        if not equals:
            value = "true" if name in SWITCHES else words.pop(0)
        flags.setdefault(name, []).append(value)
    return flags


def one(flags, name, default=None):
    return flags.get(name, [default])[-1]


def read_context(uri):
    os.makedirs(CONTEXT, exist_ok=True)
    unpack = ["tar", "--extract", "--gzip", "--numeric-owner", "--preserve-permissions", "--directory", CONTEXT]
    if uri == "tar://stdin":
        say("To simulate EOF and exit, press 'Ctrl+D'")
        source = sys.stdin.buffer
    elif uri.startswith("s3://"):
        source = open_s3(uri)
    else:
        fail(f"Error: error resolving source context: unknown prefix of {uri}")
    result = subprocess.run(unpack + ["--file", "-"], stdin=source, capture_output=True, text=True)
    if result.returncode != 0:
        say(result.stderr.strip(), "warning")
        fail("Error: error resolving source context: unexpected EOF")


def open_s3(uri):
    """Looks for the store as Kaniko and the SDK in it do: S3_ENDPOINT names one that is not Amazon's, where a bucket is
    a host name unless S3_FORCE_PATH_STYLE says otherwise; a region and credentials must be there."""
    unresolved = "Error: error resolving source context: operation error S3: GetObject"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        fail(f"{unresolved}, resolve auth scheme: resolve endpoint: Invalid Configuration: Missing Region")
    login = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not all(login):
        fail(f"{unresolved}, get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found")
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    scheme, _, host = os.environ.get("S3_ENDPOINT", "https://s3.amazonaws.com").rstrip("/").partition("://")
    by_path = os.environ.get("S3_FORCE_PATH_STYLE", "").lower() == "true"
    host, path = (host, f"/{bucket}/{key}") if by_path else (f"{bucket}.{host}", f"/{key}")
    request = urllib.request.Request(f"{scheme}://{host}{path}", headers=signature(host, path, region, login))
    try:
        with urllib.request.urlopen(request) as answer, open("/kaniko/context.tar.gz", "wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        fail(f"{unresolved}, {error}")
    return open("/kaniko/context.tar.gz", "rb")


def signature(host, path, region, login):
    """Headers of a GET request by Amazon's signature version 4."""
    time_now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": time_now}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{urllib.parse.quote(path)}\n\n{lines}\n{';'.join(headers)}\n{empty}"
    scope = f"{time_now[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time_now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{login[1]}".encode()
    for word in [*scope.split("/"), text]:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    credential = f"AWS4-HMAC-SHA256 Credential={login[0]}/{scope}, SignedHeaders={';'.join(headers)}"
    return {**headers, "authorization": f"{credential}, Signature={key.hex()}"}


def authfile():
    return ["--authfile", AUTH] if os.path.exists(AUTH) else []


def certificates(flags, option):
    words = []
    for pair in flags.get("registry-certificate", []):
        path = pair.partition("=")[2]
        folder = "/kaniko/certificates"
        os.makedirs(folder, exist_ok=True)
        with open(path) as source, open(f"{folder}/registry.crt", "w") as target:
            target.write(source.read())
        words += [option, folder]
    return words


def check_push(flags):
    """Asks as Kaniko does, before the build."""
    if one(flags, "skip-push-permission-check") == "true":
        return
    for name in flags["destination"]:
        host = name.split("/")[0]
        repository = name.split("/", 1)[1].rsplit(":", 1)[0]
        scheme = "http" if host in flags.get("insecure-registry", []) else "https"
        request = urllib.request.Request(f"{scheme}://{host}/v2/{repository}/blobs/uploads/", method="POST")
        if os.path.exists(AUTH):
            entry = json.load(open(AUTH))["auths"].get(host, {})
            if "auth" in entry:
                request.add_header("Authorization", f"Basic {entry['auth']}")
        try:
            urllib.request.urlopen(request, timeout=10)
        except urllib.error.HTTPError as error:
            word = {401: "UNAUTHORIZED: authentication required", 403: "DENIED"}.get(error.code, str(error))
            fail(f"error checking push permissions: checking push permission for {name!r}: {word}")
        except OSError as error:
            fail(f"error checking push permissions: checking push permission for {name!r}: {error}")


def build(flags):
    command = ["buildah", *STORAGE, "bud", "--isolation", "chroot", "--format", "oci", "--tag", "image", *authfile()]
    command += ["--no-cache", "--tls-verify=" + ("false" if "insecure-registry" in flags else "true")]
    command += certificates(flags, "--cert-dir")
    for flag in ("build-arg", "label", "target"):
        for value in flags.get(flag, []):
            command += [f"--{flag}", value]
    command += ["--file", os.path.join(CONTEXT, one(flags, "dockerfile", "Dockerfile")), CONTEXT]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last = ""
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        last = translate(line) or last
    if process.wait() != 0:
        status = re.search(r"exit status \d+|signal: \w+", last)
        reason = status.group(0) if status else last
        fail(f"error building image: error building stage: failed to execute command: waiting for process to exit: {reason}")


def translate(line):
    """Buildah's words in Kaniko's. Gives the line if it is an error."""
    step = re.match(r"(?:\[(\d+)/\d+\] )?STEP \d+/\d+: (.*)", line)
    if step:
        stage, instruction = int(step.group(1) or 1) - 1, step.group(2)
        if instruction.startswith("FROM"):
            say(f"Building stage '{instruction.split()[1]}' [idx: '{stage}', base-idx: '-1']")
        elif not instruction.startswith("COMMIT"):
            say(instruction)
    elif line.lower().startswith("error"):
        return line
    elif line.startswith("[Warning]"):
        say(line.removeprefix("[Warning] "), "warning")
    elif re.fullmatch("[0-9a-f]{64}", line):
        return None
    elif not line.startswith(("COMMIT", "-->", "Getting image", "Copying blob", "Copying config", "Writing manifest",
                              "Storing signatures", "Trying to pull", "Successfully tagged")):
        print(line, flush=True)
    return None


def push(flags):
    subprocess.run(["buildah", *STORAGE, "push", "--quiet", "--digestfile", "/kaniko/digest", "image", LAYOUT], check=True,
                   stdout=subprocess.DEVNULL)
    with open("/kaniko/digest") as file:
        digest = file.read().strip()
    if "digest-file" in flags:
        with open(one(flags, "digest-file"), "w") as file:
            file.write(digest)
    for name in flags["destination"]:
        say(f"Pushing image to {name}")
        command = ["skopeo", "copy", "--quiet", "--preserve-digests", *authfile()]
        command += certificates(flags, "--dest-cert-dir")
        if "insecure-registry" in flags:
            command.append("--dest-tls-verify=false")
        result = subprocess.run(command + [LAYOUT, f"docker://{name}"], capture_output=True, text=True)
        if result.returncode != 0:
            fail(f"error pushing image: failed to push to destination {name}: {result.stderr.strip().splitlines()[-1]}")
        say(f"Pushed {name.rsplit(':', 1)[0]}@{digest}")


def main():
    flags = parse(sys.argv[1:])
    if "destination" not in flags:
        fail("Error: you must provide --destination, or use --no-push")
    read_context(one(flags, "context", "/workspace/"))
    check_push(flags)
    build(flags)
    push(flags)


if __name__ == "__main__":
    main()

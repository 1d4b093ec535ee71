"""What runs in the container of a build: fetches the source, runs the phases of the build specification.

The job is JSON on standard input. What it prints is the build's log, but for lines that begin with \\x01: these are JSON
for the service around it.
"""

import datetime
import glob
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile

job = json.load(sys.stdin)
root = tempfile.mkdtemp(prefix="codebuild-")
source = os.path.join(root, "src")
state = os.path.join(root, "environment")
folder = os.path.join(root, "folder")
succeeding = True


def tell(**event):
    print("\x01" + json.dumps(event), flush=True)


def log(text):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y/%m/%d %H:%M:%S.%f")
    print(f"[Container] {now} {text}", flush=True)


def unpack():
    os.mkdir(source)
    request = urllib.request.Request(job["source"], headers={"Authorization": job["authorization"]})
    path = os.path.join(root, "source.zip")
    with urllib.request.urlopen(request) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file, 1 << 20)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            target = os.path.join(source, info.filename)
            mode = info.external_attr >> 16 if job["keeps_modes"] else 0
            os.makedirs(os.path.dirname(target.rstrip("/")), exist_ok=True)
            if info.is_dir():
                os.makedirs(target, exist_ok=True)
            elif stat.S_ISLNK(mode):
                os.symlink(archive.read(info), os.fsencode(target))
                continue
            else:
                with archive.open(info) as content, open(target, "wb") as file:
                    while chunk := content.read(1 << 20):
                        file.write(chunk)
            if mode:
                os.chmod(target, stat.S_IMODE(mode))
    os.remove(path)


def shell(command):
    """All commands of a build see the same shell: what one exports or where it goes, the next finds."""
    script = os.path.join(root, "command")
    with open(script, "w") as file:
        file.write(command)
    wrapper = f'. "{state}"; cd "$(cat "{folder}")"; . "{script}"; status=$?; export -p >"{state}"; pwd >"{folder}"; exit $status'
    return subprocess.run(["sh", "-c", wrapper], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode


def phase(name):
    global succeeding
    kind = name.upper()
    tell(phase=kind, status="IN_PROGRESS")
    log(f"Entering phase {kind}")
    context = None
    for command in (job["phases"].get(name) or {}).get("commands") or []:
        first = command.strip().splitlines()[0]
        log(f"Running command {first}")
        status = shell(f"CODEBUILD_BUILD_SUCCEEDING={int(succeeding)}; export CODEBUILD_BUILD_SUCCEEDING\n{command}")
        if status:
            log(f"Command did not exit successfully {first} exit status {status}")
            message = f"Error while executing command: {first}. Reason: exit status {status}"
            context = {"statusCode": "COMMAND_EXECUTION_ERROR", "message": message}
            succeeding = False
            break
    status = "FAILED" if context else "SUCCEEDED"
    log(f"Phase complete: {kind} State: {status}")
    tell(phase=kind, status=status, context=context)
    return context is None


def download():
    tell(phase="DOWNLOAD_SOURCE", status="IN_PROGRESS")
    try:
        unpack()
    except (urllib.error.HTTPError, zipfile.BadZipFile) as error:
        message = f"NoSuchKey: The specified key does not exist. ({error}) for primary source"
        context = {"statusCode": "CLIENT_ERROR", "message": message}
        tell(phase="DOWNLOAD_SOURCE", status="FAILED", context=context)
        return False
    tell(phase="DOWNLOAD_SOURCE", status="SUCCEEDED")
    return True


def run():
    if not download():
        return
    os.environ["CODEBUILD_SRC_DIR"] = source
    open(state, "w").close()
    with open(folder, "w") as file:
        file.write(source)
    if not phase("install") or not phase("pre_build"):
        return
    built = phase("build")
    aborts = (job["phases"].get("build") or {}).get("on-failure") == "ABORT" and job["knows_on_failure"]
    if built or not aborts:
        phase("post_build")
    for name in job["exported"]:
        value = subprocess.run(["sh", "-c", f'. "{state}"; printf %s "${{{name}-}}"'], capture_output=True).stdout
        tell(exported=name, value=value.decode())


def forget():
    """A real machine is thrown away with its images; the engine behind this one stays."""
    for path in glob.glob(os.path.join(source, "wharf", "names", "*")):
        with open(path) as file:
            subprocess.run(["docker", "image", "rm", file.read()], capture_output=True)


run()
forget()
tell(end=True)

"""S3 servers from package registries, as child processes."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

from . import places
from .process import Server

KEY, SECRET = "highwater-suite", "highwater-suite-secret"


class S3Server(Server):
    """What both servers have in common: one key, one region, plain HTTP on loopback."""

    region = "us-east-1"
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    clean_codes = (0, 143, -15)

    @staticmethod
    def missing():
        """Why the server cannot run here; None when it can."""
        raise NotImplementedError

    @property
    def endpoint(self):
        """Where it serves."""
        return f"http://{self.address}"

    def is_ready(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True

    def broker_settings(self, bucket, prefix):
        """What points a broker at a bucket of this server."""
        return {
            "remote.log.storage.url": f"s3://{bucket}/{prefix}",
            "remote.log.storage.s3.endpoint": self.endpoint,
            "remote.log.storage.s3.region": self.region,
        }

    def client(self):
        """boto3's client of this server."""
        import boto3  # pylint: disable=import-outside-toplevel

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )

    def make_bucket(self, name):
        """Creates a bucket."""
        self.client().create_bucket(Bucket=name)

    def objects(self, bucket):
        """{name: size}"""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}


class Moto(S3Server):
    """moto of PyPI. Everything is in its memory: a stop empties it."""

    def __init__(self, folder):
        super().__init__("moto", folder)

    @staticmethod
    def missing():
        return None if _moto().exists() else "not installed"

    def command(self):
        return [_moto(), "-H", "127.0.0.1", "-p", str(self.port)], {}


class Minio(S3Server):
    """MinIO of the Go module proxy, with its data in a folder that outlives a stop."""

    def __init__(self, folder):
        super().__init__("minio", folder)

    @staticmethod
    def missing():
        if _minio():
            return None
        if not shutil.which("go"):
            return "no go to build it with"
        print("building minio, which takes some minutes", file=sys.stderr, flush=True)
        environment = {**os.environ, "GOBIN": str(places.cache() / "bin"), "GOFLAGS": "-p=2"}
        command = ["go", "install", "github.com/minio/minio@latest"]
        built = subprocess.run(command, env=environment, cwd=places.cache(), capture_output=True, text=True, check=False)
        return None if built.returncode == 0 else f"go install failed: {built.stderr[-300:]}"

    def command(self):
        variables = {"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off"}
        return [_minio(), "server", "--quiet", "--address", self.address, self.folder / "data"], variables

    def is_ready(self):
        import urllib.request  # pylint: disable=import-outside-toplevel

        with urllib.request.urlopen(f"{self.endpoint}/minio/health/ready", timeout=2) as answer:
            return answer.status == 200


SERVERS = {"moto": Moto, "minio": Minio}


def _moto():
    return places.cache() / "venv" / "bin" / "moto_server"


def _minio():
    for known in (os.environ.get("HIGHWATER_MINIO"), places.cache() / "bin" / "minio", shutil.which("minio")):
        if known and pathlib.Path(known).exists():
            return pathlib.Path(known)
    return None

"""Kafka's messages, encoded and decoded by the declarations in its own jar: any version, any API."""

import json
import re
import struct
import uuid
import zipfile

from harness import places

NUMBERS = {"int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "float64": "d", "bool": "?"}


def load():
    """{api name: (request, response)} of everything that a client may send."""
    (jar,) = (places.cache() / "jars" / "lib").glob("kafka-clients-*.jar")
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith("common/message/") and name.endswith(("Request.json", "Response.json")):
                message = Message(json.loads(re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.MULTILINE)))
                found[message.name] = message
    return {
        name.removesuffix("Request"): (request, found[name.removesuffix("Request") + "Response"])
        for name, request in found.items()
        if name.endswith("Request")
    }


class Message:
    """One declaration."""

    def __init__(self, declared):
        self.name = declared["name"]
        self.key = declared.get("apiKey")
        self.valid = Range(declared["validVersions"])
        self.flexible = Range(declared.get("flexibleVersions", "none"))
        self.fields = declared.get("fields", [])
        self.structs = {each["name"]: each["fields"] for each in declared.get("commonStructs", [])}

    def encode(self, values, version):
        """Bytes. Fields that the version does not have are left out; one that no version has is a mistake."""
        out = bytearray()
        self._put_fields(out, self.fields, values, version)
        return bytes(out)

    def decode(self, data, version):
        """Fields by name; whatever is left over is an error."""
        reader = Reader(data)
        values = self._take_fields(reader, self.fields, version)
        assert reader.at == len(data), f"{self.name} {version}: {len(data) - reader.at} bytes are left over"
        return values

    def _put_fields(self, out, fields, values, version):
        unknown = set(values) - {field["name"] for field in fields}
        assert not unknown, f"{self.name} has no field {unknown}"
        flexible, tagged = version in self.flexible, []
        for field in fields:
            value = values.get(field["name"], default(field))
            if is_tagged(field, version):
                if field["name"] in values:
                    tagged.append((field, value))
            elif version in Range(field["versions"]):
                self._put(out, field, field["type"], value, version, flexible)
        if flexible:
            put_varint(out, len(tagged))
            for field, value in sorted(tagged, key=lambda each: each[0]["tag"]):
                body = bytearray()
                self._put(body, field, field["type"], value, version, flexible)
                put_varint(out, field["tag"])
                put_varint(out, len(body))
                out += body

    def _put(self, out, field, kind, value, version, flexible):
        if kind in NUMBERS:
            out += struct.pack(">" + NUMBERS[kind], value)
        elif kind == "uuid":
            out += value
        elif kind == "string" or kind in ("bytes", "records"):
            body = None if value is None else value.encode() if kind == "string" else value
            put_length(out, body, flexible, "h" if kind == "string" else "i")
            out += body or b""
        elif kind.startswith("[]"):
            put_length(out, value, flexible, "i")
            for each in value or []:
                self._put(out, field, kind[2:], each, version, flexible)
        else:
            if version in Range(field.get("nullableVersions", "none")) and not field["type"].startswith("[]"):
                out += struct.pack(">b", -1 if value is None else 1)
                if value is None:
                    return
            self._put_fields(out, field.get("fields") or self.structs[kind], value, version)

    def _take_fields(self, reader, fields, version):
        values = {}
        for field in fields:
            if version in Range(field["versions"]) and not is_tagged(field, version):
                values[field["name"]] = self._take(reader, field, field["type"], version)
        if version in self.flexible:
            by_tag = {field["tag"]: field for field in fields if is_tagged(field, version)}
            for _ in range(reader.varint()):
                tag, size = reader.varint(), reader.varint()
                if tag in by_tag:
                    values[by_tag[tag]["name"]] = self._take(reader, by_tag[tag], by_tag[tag]["type"], version)
                else:
                    values[f"tag {tag}"] = reader.take(size)
        return values

    def _take(self, reader, field, kind, version):
        flexible = version in self.flexible
        if kind in NUMBERS:
            return reader.number(NUMBERS[kind])
        if kind == "uuid":
            return reader.take(16)
        if kind in ("string", "bytes", "records"):
            size = reader.length(flexible, "h" if kind == "string" else "i")
            body = None if size is None else reader.take(size)
            return body if body is None or kind != "string" else body.decode()
        if kind.startswith("[]"):
            size = reader.length(flexible, "i")
            return None if size is None else [self._take(reader, field, kind[2:], version) for _ in range(size)]
        if version in Range(field.get("nullableVersions", "none")) and not field["type"].startswith("[]"):
            if reader.number("b") < 0:
                return None
        return self._take_fields(reader, field.get("fields") or self.structs[kind], version)


class Range:
    """`3`, `3+`, `1-4`, `none`."""

    def __init__(self, text):
        if text == "none":
            self.low, self.high = 1, 0
        elif text.endswith("+"):
            self.low, self.high = int(text[:-1]), 32767
        else:
            low, _, high = text.partition("-")
            self.low, self.high = int(low), int(high or low)

    def __contains__(self, version):
        return self.low <= version <= self.high


class Reader:
    """Bytes from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        """The next bytes."""
        assert 0 <= size <= len(self.data) - self.at, f"{size} bytes of {len(self.data) - self.at}"
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code):
        """A number of fixed size."""
        (value,) = struct.unpack(">" + code, self.take(struct.calcsize(code)))
        return value

    def varint(self):
        """An unsigned one."""
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def length(self, flexible, code):
        """Of a string or an array; None for null."""
        size = self.varint() - 1 if flexible else self.number(code)
        return None if size < 0 else size


def put_varint(out, value):
    """An unsigned one."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def put_length(out, value, flexible, code):
    """Of a string or an array; -1 or 0 for null."""
    if flexible:
        put_varint(out, 0 if value is None else len(value) + 1)
    else:
        out += struct.pack(">" + code, -1 if value is None else len(value))


def is_tagged(field, version):
    """Whether this version has the field among the tagged ones."""
    return version in Range(field.get("taggedVersions", "none"))


def default(field):
    """What a field is that the script does not name."""
    kind, given = field["type"], field.get("default")
    if given == "null":
        return None
    if kind in NUMBERS:
        if isinstance(given, str):
            return given == "true" if kind == "bool" else float(given) if kind == "float64" else int(given, 0)
        return given if given is not None else False if kind == "bool" else 0
    if kind.startswith("[]"):
        return []
    return {"string": given or "", "bytes": b"", "records": None, "uuid": uuid.UUID(int=0).bytes}.get(kind, {})

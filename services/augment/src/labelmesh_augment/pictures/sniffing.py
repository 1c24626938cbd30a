"""What files are that people do send and that are not taken. Sources: the formats' own specifications; ISO/IEC 14496-12, 4.3 (brands)."""

from __future__ import annotations

_STARTS = {
    b"BM": "BMP",
    b"\x00\x00\x01\x00": "an icon (ICO)",
    b"\x00\x00\x02\x00": "a cursor (CUR)",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
    b"IIU\x00": "a raw camera picture (RW2)",
    b"IIRO": "a raw camera picture (ORF)",
    b"FUJIFILMCCD-RAW": "a raw camera picture (RAF)",
    b"8BPS": "a Photoshop document (PSD)",
    b"gimp xcf": "a GIMP document (XCF)",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"SIMPLE  =": "FITS",
    b"DDS ": "DDS",
    b"qoif": "QOI",
    b"\x8aMNG": "MNG",
    b"\x8bJNG": "JNG",
    b"AT&TFORM": "DjVu",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"\x1aE\xdf\xa3": "a video (Matroska or WebM)",
    b"\x00\x00\x01\xba": "a video (MPEG)",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x93NUMPY": "a NumPy array",
}
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"crx ": "a raw camera picture (CR3)",
    b"qt  ": "a video (QuickTime)",
}
_RIFF = {b"AVI ": "a video (AVI)", b"WAVE": "a sound (WAV)"}
_NETPBM = frozenset(b"1234567fF")


def sniffed(content: bytes) -> str | None:
    """The name of a format that is known and not taken; None for anything else."""
    for start, name in _STARTS.items():
        if content.startswith(start):
            return name
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "a video (MP4)")
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12])
    if content[:1] == b"P" and content[1:2] and content[1] in _NETPBM and content[2:3].isspace():
        return "a Netpbm picture"
    if content[128:132] == b"DICM":
        return "DICOM"
    return _text(content[:1024])


def _text(start: bytes) -> str | None:
    """What begins with words, whatever the letters are coded in."""
    words = start.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip().lower()
    if not words.startswith(b"<"):
        return "a data URL" if words.startswith(b"data:image/") else None
    if b"<svg" in words:
        return "SVG"
    if words.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page (HTML), perhaps one that shows the image"
    return "XML" if words.startswith(b"<?xml") else None

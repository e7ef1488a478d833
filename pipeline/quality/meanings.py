"""What flags and reason codes mean, briefly, for the person whose files they are about:
of one file or of many alike."""

from __future__ import annotations

FLAGS = {
    "alpha": "Transparent in places; white is shown there.",
    "bad_exif": "Damaged metadata, so perhaps not upright.",
    "bad_profile": "Colour profile damaged or of the wrong kind; colours taken for sRGB.",
    "border": "Border or frame left out of crops; the stored file is whole.",
    "bridges_split": "Like images to train on and images held out, so used for neither.",
    "cmyk": "Made for print; colours converted to those of a screen.",
    "greyscale": "Without colour.",
    "lab": "Stored in Lab colours.",
    "misnamed": "The file name's ending is not that of the content.",
    "mpo": "Several pictures in one file, as some cameras write them; the first was taken.",
    "oriented": "Turned upright as the metadata ask.",
    "palette": "Stored in at most 256 colours: gradients may show steps.",
    "profile": "Colours converted to sRGB by the file's own profile.",
    "sixteen_bit": "16 bits a channel, of which 8 are used.",
}
REASONS = {
    "decoder_crash": "Opening ended the process that tried, or took too much memory.",
    "decoder_timeout": "Opening took too long.",
    "empty": "One flat colour.",
    "extreme_aspect": "Too long for the width.",
    "float": "Samples are floating-point numbers, without a defined white.",
    "multiframe": "Several pages or an animation; save the one you mean.",
    "not_image": "The content is none of the image formats that are read.",
    "not_regular": "No ordinary file.",
    "outside": "A link to a place outside of the folder.",
    "removed": "Taken out with `atelier remove`, and stays out.",
    "too_large": "More pixels or bytes than are allowed.",
    "too_small": "The short side is too short.",
    "truncated": "The end is missing: the copy or download was cut off.",
    "unreadable": "Could not be read, or damaged.",
}
UNKNOWN = "No more is known of it here."

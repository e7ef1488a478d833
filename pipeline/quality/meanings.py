"""What flags and reason codes mean, in a sentence each, for the person whose files they are about."""

from __future__ import annotations

FLAGS = {
    "alpha": "It was transparent in places; there it shows white.",
    "bad_exif": "Its metadata are damaged, so that it may not stand upright.",
    "bad_profile": "Its colour profile is damaged or of the wrong kind; its colours were taken for sRGB.",
    "border": "A border or frame around it is left out of crops; the stored file is whole.",
    "bridges_split": "It resembles images to train on and images held out, so it is used for neither.",
    "cmyk": "It was made for print; its colours were converted to those of a screen.",
    "greyscale": "It has no colour.",
    "lab": "It was stored in Lab colours.",
    "misnamed": "Its file name's ending is not that of its content.",
    "mpo": "It held several pictures, as some cameras write them; the first was taken.",
    "oriented": "It was turned upright as its metadata ask.",
    "palette": "It was stored in at most 256 colours: gradients may show steps.",
    "profile": "Its colours were converted to sRGB by its own profile.",
    "sixteen_bit": "It had 16 bits a channel; 8 are used.",
}
REASONS = {
    "decoder_crash": "Opening it ended the process that tried, or took too much memory.",
    "decoder_timeout": "Opening it took too long.",
    "empty": "It shows one flat colour.",
    "extreme_aspect": "It is too long for its width.",
    "float": "Its samples are floating-point numbers, without a defined white.",
    "multiframe": "It holds several pages or an animation; save the one you mean.",
    "not_image": "Its content is none of the image formats that are read.",
    "not_regular": "It is no ordinary file.",
    "outside": "It links to a place outside of the folder.",
    "removed": "It was taken out with `atelier remove`, and stays out.",
    "too_large": "It has more pixels or bytes than are allowed.",
    "too_small": "Its short side is too short.",
    "truncated": "Its end is missing: the copy or download was cut off.",
    "unreadable": "It could not be read, or is damaged.",
}
UNKNOWN = "No more is known of it here."

"""Classical codecs with the interface of quantal.eval.codecs.ImageCodec.

still: file formats of Pillow and its plugins; video: intra frames of video codecs through PyAV;
lossless: lossless formats for reference. All use one thread, so that costs are comparable.
"""

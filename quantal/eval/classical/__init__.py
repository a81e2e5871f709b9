"""Classical codecs, each behind the same interface as ours (quantal.eval.codecs.ImageCodec).

still: file formats that Pillow and its plugins write; video: the intra frames of video codecs
through PyAV; lossless: for reference. All run on one thread, so that costs compare.
"""

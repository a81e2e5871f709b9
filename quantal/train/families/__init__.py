"""One file per trainable family of codecs; each declares a TRAINER, which its Family names."""

"""Training and evaluating denoising networks, and denoising with them: `from dnnlib.denoising import Denoiser`."""


def __getattr__(name: str):
    if name == "Denoiser":  # late: it imports TensorFlow, which takes seconds
        from dnnlib.denoising.inference.denoiser import Denoiser

        return Denoiser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

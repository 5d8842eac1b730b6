# SPDX-License-Identifier: Apache-2.0
"""CAER-Net and CAER-Net-S from one description."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from caer_ros.network import efficientnet
from caer_ros.network.efficientnet import EfficientNetLite
from caer_ros.network.layers import (
    FEATURES,
    AdaptiveFusion,
    Classifier,
    Encoder,
    FaceConditionedAttention,
    Normalize,
    Projection,
    SpatialAttention,
    attention_pool,
    average_pool,
    spatial_softmax,
)
from caer_ros.network.spec import NetworkSpec, WeightsError
from caer_ros.types import Emotion


class Output(NamedTuple):
    """What CAER-Net says of N persons.

    scores: (N, 7) in `Emotion` order, probabilities or logits.
    weights: (N, 2) of the face and the context stream, summing to 1.
    attention: (N, height, width) summing to 1, the mean over time for a clip; None without a
        context stream, or where that does not attend.
    """

    scores: Tensor
    weights: Tensor
    attention: Tensor | None


class CaerNet(nn.Module):
    """CAER-Net-S (2D, one frame) or CAER-Net (3D, a clip); Lee et al., ICCV 2019, section 3.

    Pictures go in as uint8 BGR, (N, size, size, 3) or (N, time, size, size, 3), and are normalised
    inside. The network is fully convolutional up to its pooling: any size from 16 pixels runs,
    the spec's is what it was trained for. Persons may share scenes: with `context_index`, int64
    (N,), person n stands in scene `context_index[n]`; without, scene n is person n's.

    Raises:
        WeightsError: for clips too short to be halved three times.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.is_video and spec.clip_length < 8:
            raise WeightsError(
                f"clip_length is {spec.clip_length}, a caer_net halves it three times: at least 8"
            )
        self.spec = spec
        dims = 3 if spec.is_video else 2
        self.normalize = Normalize(spec.mean, spec.std)
        if spec.has_face:
            self.face_encoder = Encoder(dims)
        if spec.has_context:
            if spec.context_encoder == "caer":
                self.context_normalize = self.normalize
                self.context_encoder: nn.Module = Encoder(dims)
            else:
                # one frame, also of a clip
                dims = 2
                self.context_normalize = Normalize(efficientnet.MEAN, efficientnet.STD)
                self.context_encoder = EfficientNetLite()
                self.context_projection = Projection(efficientnet.HEAD)
            if spec.context_attention == "spatial":
                self.context_attention: nn.Module = SpatialAttention(dims)
            elif spec.context_attention == "face_conditioned":
                self.context_attention = FaceConditionedAttention(dims)
        if spec.streams == "both" and spec.fusion == "adaptive":
            self.fusion = AdaptiveFusion()
        self.classifier = Classifier(FEATURES * (spec.has_face + spec.has_context), len(Emotion))

    def forward(
        self,
        faces: Tensor | None = None,
        contexts: Tensor | None = None,
        context_index: Tensor | None = None,
    ) -> Output:
        """Return probabilities, temperature applied; streams the spec lacks are None."""
        output = self.logits(faces, contexts, context_index)
        scores = (output.scores.float() / self.spec.temperature).softmax(dim=1)
        return output._replace(scores=scores)

    def logits(
        self,
        faces: Tensor | None = None,
        contexts: Tensor | None = None,
        context_index: Tensor | None = None,
    ) -> Output:
        """Return the same with logits as scores, before the temperature, for training."""
        face = context = attention = None
        if self.spec.has_face:
            assert faces is not None
            face = self.encode_face(faces)
        if self.spec.has_context:
            assert contexts is not None
            features = self.encode_context(contexts)
            context, attention = self.attend(features, face, context_index)
        scores, weights = self.fuse(face, context)
        return Output(scores, weights, attention)

    def encode_face(self, faces: Tensor) -> Tensor:
        """Return one vector for each face, (N, 256)."""
        pictures = self.normalize(faces)
        if self.training or not self.spec.mirrored:
            return average_pool(self.face_encoder(pictures))
        sides = torch.cat([pictures, pictures.flip(-1)])
        return average_pool(self.face_encoder(sides)).reshape(2, -1, FEATURES).mean(dim=0)

    def encode_context(self, contexts: Tensor) -> Tensor:
        """Return the features of each scene, (M, 256, [time,] height, width).

        An encoder for frames reads the newest one of a clip: a scene hardly changes in its 1.6
        seconds, and one frame costs a sixteenth.
        """
        return self.project(self.scene_maps(contexts))

    def scene_maps(self, contexts: Tensor) -> Tensor:
        """Return what the scene encoder itself makes of each scene, its own channels wide."""
        if self.spec.is_video and self.spec.context_encoder != "caer":
            # as floats, for TensorRT slices no uint8
            contexts = contexts.to(self.context_normalize.mean.dtype)[:, -1]
        return self.context_encoder(self.context_normalize(contexts))

    def project(self, maps: Tensor) -> Tensor:
        """Bring `scene_maps` to the 256 channels that are attended to."""
        return maps if self.spec.context_encoder == "caer" else self.context_projection(maps)

    def attend(
        self, features: Tensor, face: Tensor | None, context_index: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Pool scenes to one vector for each person, (N, 256); also return the attention."""
        if self.spec.context_attention == "none":
            vectors = average_pool(features)
            return (vectors if context_index is None else vectors[context_index]), None
        if self.spec.context_attention == "face_conditioned" and context_index is not None:
            features, context_index = features[context_index], None
        attention = spatial_softmax(self.context_attention(features, face))
        vectors = attention_pool(features, attention)
        maps = attention.flatten(1, -3).mean(dim=1)
        if context_index is not None:
            vectors, maps = vectors[context_index], maps[context_index]
        return vectors, maps

    def fuse(self, face: Tensor | None, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits (N, 7) and fusion weights (N, 2) of the vectors of both streams."""
        if face is None or context is None:
            alone = face if context is None else context
            assert alone is not None
            weights = alone.new_tensor([[float(context is None), float(face is None)]])
            return self.classifier(alone), weights.expand(alone.shape[0], 2)
        if self.spec.fusion == "concatenate":
            weights = face.new_full((1, 2), 0.5).expand(face.shape[0], 2)
            return self.classifier(torch.cat([face, context], dim=1)), weights
        weights = self.fusion(face, context)
        fused = torch.cat([weights[:, :1] * face, weights[:, 1:] * context], dim=1)
        return self.classifier(fused), weights

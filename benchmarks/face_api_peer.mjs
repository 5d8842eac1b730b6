// SPDX-License-Identifier: Apache-2.0
// npm @vladmandic/face-api as a candidate of the benchmark; see `PeerProgram` in interleaved.py.
// Run as `node face_api_peer.mjs FOLDER`, FOLDER being where npm installed it.

import { createRequire } from 'node:module';
import path from 'node:path';

const folder = path.resolve(process.argv[2]);
const require = createRequire(path.join(folder, 'package.json'));
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const modules = path.join(folder, 'node_modules');

wasm.setWasmPaths(path.join(modules, '@tensorflow/tfjs-backend-wasm/dist/'));
await tf.setBackend('wasm');
await tf.ready();
const models = path.join(modules, '@vladmandic/face-api/model');
// the faster of its two detectors
await faceapi.nets.tinyFaceDetector.loadFromDisk(models);
await faceapi.nets.faceExpressionNet.loadFromDisk(models);

const input = process.stdin[Symbol.asyncIterator]();
let buffer = Buffer.alloc(0);

async function read(bytes) {
  const chunks = [buffer];
  let length = buffer.length;
  while (length < bytes) {
    const { value } = await input.next();
    chunks.push(value);
    length += value.length;
  }
  const all = Buffer.concat(chunks);
  buffer = all.subarray(bytes);
  return all.subarray(0, bytes);
}

async function readLine() {
  for (;;) {
    const end = buffer.indexOf(10);
    if (end >= 0) {
      const line = buffer.subarray(0, end).toString();
      buffer = buffer.subarray(end + 1);
      return line;
    }
    const { value, done } = await input.next();
    if (done) return null;
    buffer = Buffer.concat([buffer, value]);
  }
}

const [count, height, width, channels] = JSON.parse(await readLine());
const size = height * width * channels;
const bytes = await read(count * size);
const frames = Array.from({ length: count }, (_, n) => bytes.subarray(n * size, (n + 1) * size));

let next = 0;
for (let line = await readLine(); line !== null; line = await readLine()) {
  const seconds = [];
  let found = [];
  for (let n = 0; n < Number(line); n += 1, next += 1) {
    const start = performance.now();
    // OpenCV's channel order is turned round as a user of face-api would have to
    const image = tf.tidy(() =>
      tf.tensor3d(frames[next % count], [height, width, channels], 'int32').reverse(2),
    );
    found = await faceapi
      .detectAllFaces(image, new faceapi.TinyFaceDetectorOptions())
      .withFaceExpressions();
    tf.dispose(image);
    seconds.push((performance.now() - start) / 1000);
  }
  process.stdout.write(`${JSON.stringify({ seconds, faces: found.length })}\n`);
}

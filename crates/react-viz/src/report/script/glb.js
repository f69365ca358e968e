// Reads binary glTF 2.0 as far as an animated face needs it: nodes, meshes of triangles, morph targets (sparse or not), skins, colours
// by vertex or by material, one animation of weights, rotations, translations and scales.
const GLB = (() => {
  const WIDTH = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4, MAT4: 16 };
  const ARRAY = { 5120: Int8Array, 5121: Uint8Array, 5122: Int16Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
  const LARGEST = { 5120: 127, 5121: 255, 5122: 32767, 5123: 65535 };

  const chunks = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint32(0, true) !== 0x46546c67) throw new Error("this is no binary glTF");
    const found = {};
    for (let at = 12; at + 8 <= view.byteLength; ) {
      const size = view.getUint32(at, true);
      found[view.getUint32(at + 4, true)] = bytes.subarray(at + 8, at + 8 + size);
      at += 8 + size;
    }
    return { json: JSON.parse(new TextDecoder().decode(found[0x4e4f534a])), binary: found[0x004e4942] ?? new Uint8Array() };
  };

  // The numbers of a buffer view, without gaps; copied, because offsets need not suit a typed array.
  const numbers = ({ json, binary }, viewIndex, offset, type, width, count) => {
    const view = json.bufferViews[viewIndex];
    const size = ARRAY[type].BYTES_PER_ELEMENT * width;
    const stride = view.byteStride ?? size;
    const start = (view.byteOffset ?? 0) + (offset ?? 0);
    const packed = new Uint8Array(size * count);
    for (let i = 0; i < count; i++) packed.set(binary.subarray(start + i * stride, start + i * stride + size), i * size);
    return new ARRAY[type](packed.buffer);
  };

  const scaled = (values, accessor) => {
    const largest = accessor.normalized ? LARGEST[accessor.componentType] : 0;
    return largest ? Float32Array.from(values, (v) => Math.max(v / largest, -1)) : values;
  };

  const read = (file, index) => {
    const accessor = file.json.accessors[index];
    const width = WIDTH[accessor.type];
    const plain = accessor.bufferView === undefined
      ? new ARRAY[accessor.componentType](accessor.count * width)
      : numbers(file, accessor.bufferView, accessor.byteOffset, accessor.componentType, width, accessor.count);
    const values = scaled(plain, accessor);
    const list = sparse(file, accessor, width);
    list?.indices.forEach((to, i) => values.set(list.values.subarray(i * width, (i + 1) * width), to * width));
    return { values, width, count: accessor.count };
  };

  const sparse = (file, accessor, width) => {
    const list = accessor.sparse;
    if (!list) return undefined;
    const indices = numbers(file, list.indices.bufferView, list.indices.byteOffset, list.indices.componentType, 1, list.count);
    const values = numbers(file, list.values.bufferView, list.values.byteOffset, accessor.componentType, width, list.count);
    return { indices, values: scaled(values, accessor) };
  };

  // A target as the list of the vertices that it moves.
  const target = (file, index) => {
    const accessor = file.json.accessors[index];
    if (accessor.bufferView === undefined) return sparse(file, accessor, 3) ?? { indices: [], values: [] };
    const { values } = read(file, index);
    const moved = [];
    for (let i = 0; i < accessor.count; i++) if (values[3 * i] || values[3 * i + 1] || values[3 * i + 2]) moved.push(i);
    return { indices: Uint32Array.from(moved), values: Float32Array.from(moved.flatMap((i) => [...values.subarray(3 * i, 3 * i + 3)])) };
  };

  // Vertices in one place with one normal share what the light sees, whatever the material.
  const welded = (positions, normals) => {
    const seen = new Map();
    const group = new Uint32Array(positions.length / 3);
    for (let i = 0; i < group.length; i++) {
      const normal = normals ? Array.from(normals.subarray(3 * i, 3 * i + 3), (v) => v.toFixed(2)).join() : "";
      const key = Array.from(positions.subarray(3 * i, 3 * i + 3), (v) => v.toFixed(5)).join() + normal;
      if (!seen.has(key)) seen.set(key, i);
      group[i] = seen.get(key);
    }
    return group;
  };

  const colours = (file, primitive, count) => {
    const factor = file.json.materials?.[primitive.material]?.pbrMetallicRoughness?.baseColorFactor ?? [1, 1, 1, 1];
    const given = primitive.attributes.COLOR_0 === undefined ? undefined : read(file, primitive.attributes.COLOR_0);
    const out = new Float32Array(count * 3);
    for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) out[3 * i + c] = factor[c] * (given ? given.values[i * given.width + c] : 1);
    return out;
  };

  const primitive = (file, source) => {
    const base = Float32Array.from(read(file, source.attributes.POSITION).values);
    const count = base.length / 3;
    const normals = source.attributes.NORMAL === undefined ? undefined : Float32Array.from(read(file, source.attributes.NORMAL).values);
    const indices = source.indices === undefined ? Uint32Array.from({ length: count }, (_, i) => i) : Uint32Array.from(read(file, source.indices).values);
    const targets = (source.targets ?? []).map((t) => (t.POSITION === undefined ? { indices: [], values: [] } : target(file, t.POSITION)));
    const { JOINTS_0: joints, WEIGHTS_0: weights } = source.attributes;
    const bones = joints === undefined || weights === undefined ? undefined : { joints: read(file, joints).values, weights: read(file, weights).values };
    const roughness = file.json.materials?.[source.material]?.pbrMetallicRoughness?.roughnessFactor ?? 1;
    return { base, normals, indices, targets, bones, group: welded(base, normals), colours: colours(file, source, count), shine: 1 - roughness };
  };

  const channels = (file) => {
    const animation = file.json.animations?.[0];
    return (animation?.channels ?? []).map(({ sampler, target: { node, path } }) => {
      const { input, output, interpolation } = animation.samplers[sampler];
      const times = read(file, input).values;
      const values = read(file, output).values;
      return { node, path, times, values, width: values.length / times.length, steps: interpolation === "STEP" };
    });
  };

  const load = (bytes) => {
    const file = chunks(bytes);
    const meshes = (file.json.meshes ?? []).map((mesh) => ({ weights: mesh.weights ?? [], primitives: mesh.primitives.map((p) => primitive(file, p)) }));
    const scene = file.json.scenes?.[file.json.scene ?? 0]?.nodes ?? (file.json.nodes ?? []).map((_, i) => i);
    const animation = channels(file);
    const duration = Math.max(0, ...animation.map((c) => c.times[c.times.length - 1]));
    const skins = (file.json.skins ?? []).map(({ joints, inverseBindMatrices: inverse }) => (
      { joints, inverse: inverse === undefined ? undefined : read(file, inverse).values }));
    return { nodes: file.json.nodes ?? [], skins, meshes, roots: scene, channels: animation, duration };
  };

  // A channel's value at a time: between the keys around it, rotations along the shorter way.
  const sample = ({ times, values, width, steps, path }, time) => {
    let high = 1;
    if (times.length > 2) {
      let low = 0;
      for (high = times.length - 1; high - low > 1; ) {
        const middle = (low + high) >> 1;
        if (times[middle] <= time) low = middle; else high = middle;
      }
    }
    const last = times.length - 1;
    const [a, b] = [Math.min(high - 1, last), Math.min(high, last)];
    const span = times[b] - times[a];
    const part = steps || !span ? 0 : Math.min(1, Math.max(0, (time - times[a]) / span));
    const out = new Float32Array(width);
    let sign = 1;
    if (path === "rotation") {
      let dot = 0;
      for (let i = 0; i < 4; i++) dot += values[a * 4 + i] * values[b * 4 + i];
      sign = dot < 0 ? -1 : 1;
    }
    for (let i = 0; i < width; i++) out[i] = values[a * width + i] * (1 - part) + sign * values[b * width + i] * part;
    if (path !== "rotation") return out;
    const length = Math.hypot(...out) || 1;
    return out.map((v) => v / length);
  };

  return { load, sample };
})();

// Draws an animated face with WebGL: targets are summed and normals made anew for each frame, light is fixed to the camera. One WebGL
// context serves the whole page (browsers allow few); what it drew is copied to the view that asked.
const Draw = (() => {
  const VERTEX = `attribute vec3 position, normal, colour; uniform mat4 place, camera; varying vec3 n, c, at;
    void main() { vec4 p = place * vec4(position, 1.0); at = p.xyz; n = mat3(place) * normal; c = colour; gl_Position = camera * p; }`;
  const FRAGMENT = `precision mediump float; varying vec3 n, c, at; uniform mat3 view; uniform float shine;
    void main() {
      vec3 m = normalize(view * n); if (!gl_FrontFacing) m = -m;
      float key = max(dot(m, normalize(vec3(-0.45, 0.6, 0.9))), 0.0), fill = max(dot(m, normalize(vec3(0.8, 0.1, 0.6))), 0.0);
      float sky = 0.5 + 0.5 * m.y, edge = pow(1.0 - max(m.z, 0.0), 3.0);
      vec3 light = vec3(0.30, 0.31, 0.34) * mix(0.6, 1.0, sky) + vec3(0.74, 0.71, 0.67) * key + vec3(0.16, 0.18, 0.22) * fill;
      float spot = pow(max(dot(m, normalize(vec3(-0.24, 0.32, 1.0))), 0.0), 40.0) * shine * 0.5;
      gl_FragColor = vec4(pow(c * light + spot + 0.05 * edge, vec3(1.0 / 2.2)), 1.0);
    }`;
  let gl, program, places, size;

  const compile = (kind, text) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(shader));
    return shader;
  };

  // The context, made at first use; undefined where the browser has none.
  const context = () => {
    if (gl && !gl.isContextLost()) return gl;
    const canvas = document.createElement("canvas");
    gl = canvas.getContext("webgl", { alpha: true, antialias: true, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!gl) return undefined;
    gl.getExtension("OES_element_index_uint");
    program = gl.createProgram();
    gl.attachShader(program, compile(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compile(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    const uniform = (name) => gl.getUniformLocation(program, name);
    const attribute = (name) => gl.getAttribLocation(program, name);
    places = {
      position: attribute("position"), normal: attribute("normal"), colour: attribute("colour"),
      place: uniform("place"), camera: uniform("camera"), view: uniform("view"), shine: uniform("shine"),
    };
    size = { width: 0, height: 0 };
    return gl;
  };

  // Column-major 4 × 4 matrices.
  const multiply = (a, b) => {
    const out = new Float32Array(16);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    return out;
  };
  const IDENTITY = Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1);
  const transform = ([x, y, z, w], [tx, ty, tz], [sx, sy, sz]) => Float32Array.of(
    (1 - 2 * (y * y + z * z)) * sx, 2 * (x * y + z * w) * sx, 2 * (x * z - y * w) * sx, 0,
    2 * (x * y - z * w) * sy, (1 - 2 * (x * x + z * z)) * sy, 2 * (y * z + x * w) * sy, 0,
    2 * (x * z + y * w) * sz, 2 * (y * z - x * w) * sz, (1 - 2 * (x * x + y * y)) * sz, 0,
    tx, ty, tz, 1);

  // Every mesh of the scene at a time: its place, its weights and its bones.
  const poses = (model, time) => {
    const moved = model.nodes.map(() => ({})), places = [], out = [];
    for (const channel of model.channels) moved[channel.node][channel.path] = GLB.sample(channel, time);
    const walk = (index, above) => {
      const node = model.nodes[index], at = moved[index];
      const own = node.matrix && !at.rotation && !at.translation && !at.scale
        ? Float32Array.from(node.matrix)
        : transform(at.rotation ?? node.rotation ?? [0, 0, 0, 1], at.translation ?? node.translation ?? [0, 0, 0], at.scale ?? node.scale ?? [1, 1, 1]);
      places[index] = multiply(above, own);
      if (node.mesh !== undefined) out.push({ node, mesh: model.meshes[node.mesh], place: places[index], weights: at.weights ?? node.weights });
      (node.children ?? []).forEach((child) => walk(child, places[index]));
    };
    model.roots.forEach((root) => walk(root, IDENTITY));
    for (const posed of out) {
      posed.weights ??= posed.mesh.weights;
      const skin = model.skins[posed.node.skin];
      if (!skin) continue;
      // A skin's bones are placed in the scene themselves.
      posed.place = IDENTITY;
      posed.bones = skin.joints.map((joint, j) => {
        const place = places[joint] ?? IDENTITY;
        return skin.inverse ? multiply(place, skin.inverse.subarray(16 * j, 16 * j + 16)) : place;
      });
    }
    return out;
  };

  // Moves every vertex with its bones.
  const follow = (now, { joints, weights }, bones) => {
    for (let i = 0; i < now.length; i += 3) {
      const x = now[i], y = now[i + 1], z = now[i + 2];
      let [a, b, c] = [0, 0, 0];
      for (let k = (4 * i) / 3, end = k + 4; k < end; k++) {
        const w = weights[k];
        if (w === 0) continue;
        const m = bones[joints[k]];
        a += w * (m[0] * x + m[4] * y + m[8] * z + m[12]);
        b += w * (m[1] * x + m[5] * y + m[9] * z + m[13]);
        c += w * (m[2] * x + m[6] * y + m[10] * z + m[14]);
      }
      now[i] = a; now[i + 1] = b; now[i + 2] = c;
    }
  };

  // Positions with the targets summed, and the normals of the welded surface.
  const shape = (part, weights, bones) => {
    part.now ??= new Float32Array(part.base.length);
    part.shade ??= new Float32Array(part.base.length);
    const { now, shade, base, group, indices } = part;
    now.set(base);
    part.targets.forEach(({ indices: list, values }, k) => {
      const weight = weights[k] ?? 0;
      if (weight === 0) return;
      for (let i = 0; i < list.length; i++) {
        const to = 3 * list[i], from = 3 * i;
        now[to] += weight * values[from]; now[to + 1] += weight * values[from + 1]; now[to + 2] += weight * values[from + 2];
      }
    });
    if (bones && part.bones) follow(now, part.bones, bones);
    shade.fill(0);
    for (let t = 0; t < indices.length; t += 3) {
      const a = 3 * indices[t], b = 3 * indices[t + 1], c = 3 * indices[t + 2];
      const ux = now[b] - now[a], uy = now[b + 1] - now[a + 1], uz = now[b + 2] - now[a + 2];
      const vx = now[c] - now[a], vy = now[c + 1] - now[a + 1], vz = now[c + 2] - now[a + 2];
      const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
      for (const i of [a, b, c]) { const g = 3 * group[i / 3]; shade[g] += nx; shade[g + 1] += ny; shade[g + 2] += nz; }
    }
    for (let i = 0; i < group.length; i++) {
      const g = 3 * group[i];
      if (g === 3 * i) {
        const length = Math.hypot(shade[g], shade[g + 1], shade[g + 2]) || 1;
        shade[g] /= length; shade[g + 1] /= length; shade[g + 2] /= length;
      } else {
        shade[3 * i] = shade[g]; shade[3 * i + 1] = shade[g + 1]; shade[3 * i + 2] = shade[g + 2];
      }
    }
  };

  // The sphere that the face moves in, over the whole animation: what the camera looks at.
  const bounds = (model) => {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (let step = 0; step <= 8; step++) {
      const all = poses(model, (model.duration * step) / 8);
      const faces = all.filter(({ mesh }) => mesh.primitives.some((p) => p.targets.length > 0));
      for (const { mesh, place } of faces.length > 0 ? faces : all) {
        for (const { base } of mesh.primitives) {
          for (let i = 0; i < base.length; i += 3) {
            for (let c = 0; c < 3; c++) {
              const v = place[c] * base[i] + place[4 + c] * base[i + 1] + place[8 + c] * base[i + 2] + place[12 + c];
              low[c] = Math.min(low[c], v); high[c] = Math.max(high[c], v);
            }
          }
        }
      }
    }
    if (!Number.isFinite(low[0])) return { centre: [0, 0, 0], radius: 1 };
    return { centre: low.map((l, c) => (l + high[c]) / 2), radius: Math.max(high[0] - low[0], high[1] - low[1], 1e-6) / 2 };
  };

  const camera = ({ centre, radius }, { yaw, pitch, zoom }, aspect) => {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    // World to camera: turned about the centre, then moved away.
    const turn = Float32Array.of(cy, sp * sy, -cp * sy, 0, 0, cp, sp, 0, sy, -sp * cy, cp * cy, 0, 0, 0, 0, 1);
    const half = Math.tan((14 * Math.PI) / 180), away = (radius * 1.12) / half / Math.min(1, aspect) / zoom;
    const centred = Float32Array.from(IDENTITY);
    centred.set([-centre[0], -centre[1], -centre[2]], 12);
    const moved = Float32Array.from(IDENTITY);
    moved[14] = -away;
    const near = Math.max(away - 6 * radius, away / 50), far = away + 8 * radius;
    const lens = new Float32Array(16);
    lens[0] = 1 / half / aspect; lens[5] = 1 / half; lens[10] = (far + near) / (near - far); lens[11] = -1; lens[14] = (2 * far * near) / (near - far);
    return { matrix: multiply(lens, multiply(moved, multiply(turn, centred))), turn: Float32Array.of(cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy) };
  };

  const upload = (part, name, values, changes) => {
    part.buffers ??= {};
    if (part.context !== gl) { part.buffers = {}; part.context = gl; }
    const kind = name === "indices" ? gl.ELEMENT_ARRAY_BUFFER : gl.ARRAY_BUFFER;
    const fresh = !part.buffers[name];
    if (fresh) part.buffers[name] = gl.createBuffer();
    gl.bindBuffer(kind, part.buffers[name]);
    if (fresh || changes) gl.bufferData(kind, values, changes ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW);
    if (name === "indices") return;
    gl.enableVertexAttribArray(places[name]);
    gl.vertexAttribPointer(places[name], 3, gl.FLOAT, false, 0, 0);
  };

  // Draws `model` at `time` into the 2D canvas `view`.
  const frame = (model, time, eye, view) => {
    if (!context()) return false;
    const { width, height } = view;
    if (size.width !== width || size.height !== height) {
      gl.canvas.width = width; gl.canvas.height = height;
      size = { width, height };
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    model.bounds ??= bounds(model);
    const { matrix, turn } = camera(model.bounds, eye, width / height);
    gl.uniformMatrix4fv(places.camera, false, matrix);
    gl.uniformMatrix3fv(places.view, false, turn);
    for (const { mesh, place, weights, bones } of poses(model, time)) {
      gl.uniformMatrix4fv(places.place, false, place);
      for (const part of mesh.primitives) {
        shape(part, weights, bones);
        gl.uniform1f(places.shine, part.shine);
        upload(part, "position", part.now, true);
        upload(part, "normal", part.shade, true);
        upload(part, "colour", part.colours, false);
        upload(part, "indices", part.indices, false);
        gl.drawElements(gl.TRIANGLES, part.indices.length, gl.UNSIGNED_INT, 0);
      }
    }
    const paper = view.getContext("2d");
    paper.clearRect(0, 0, width, height);
    paper.drawImage(gl.canvas, 0, 0);
    return true;
  };

  return { frame, available: () => context() !== undefined && context() !== null };
})();

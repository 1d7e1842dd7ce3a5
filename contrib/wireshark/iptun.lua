--[[
iptun/1 in Wireshark: INIT, RESP, CHALLENGE and DATA field by field, and which of them belong together.

Bytes and their order are those of docs/protocol.md, section 3. Nothing is decrypted: what is in `sealed` and in the
ciphertext, Wireshark cannot know. A RESP is matched to the INIT whose index it carries, a CHALLENGE too, and DATA by its
receiver index to the handshake that made the session, in both directions, also when an endpoint has moved.
For Wireshark 3.6 and newer (Lua 5.2 to 5.4). BOUNDED: by the capture, which Wireshark holds anyway; of one index the
newest 8 users are remembered, so that a capture full of one index does not take the square of its length.
The trap: reading past the captured bytes is a Lua error, so every read stands behind a comparison with the length.
]]

local VERSION = 1
local DEFAULT_PORT = 1194
local USERS_OF_AN_INDEX = 8
local STUN_COOKIE = 0x42a41221 -- RFC 8489 §5, read as little-endian.
local TYPE = { INIT = 1, RESP = 2, CHALLENGE = 3, DATA = 4 }
local TYPE_NAMES = { [1] = "INIT", [2] = "RESP", [3] = "CHALLENGE", [4] = "DATA" }
local DIRECTIONS = { [1] = "initiator to responder", [2] = "responder to initiator" }

local iptun = Proto("iptun", "iptun encrypted tunnel")

local fields = {
  type = ProtoField.uint8("iptun.type", "Type", base.DEC, TYPE_NAMES),
  version = ProtoField.uint8("iptun.version", "Version"),
  zero = ProtoField.uint16("iptun.zero", "Zero", base.HEX),
  hint = ProtoField.uint16("iptun.hint", "Key hint", base.HEX),
  sender_index = ProtoField.uint32("iptun.sender_index", "Sender index", base.HEX),
  receiver_index = ProtoField.uint32("iptun.receiver_index", "Receiver index", base.HEX),
  ephemeral = ProtoField.bytes("iptun.ephemeral", "Ephemeral key"),
  sealed = ProtoField.bytes("iptun.sealed", "Sealed"),
  cookie_mac = ProtoField.bytes("iptun.cookie_mac", "Cookie MAC"),
  mac = ProtoField.bytes("iptun.mac", "MAC"),
  nonce = ProtoField.bytes("iptun.nonce", "Nonce"),
  counter = ProtoField.uint64("iptun.counter", "Counter", base.DEC),
  ciphertext = ProtoField.bytes("iptun.ciphertext", "Ciphertext"),
  tag = ProtoField.bytes("iptun.tag", "Tag"),
  inner_length = ProtoField.uint32("iptun.inner_length", "Plaintext bytes"),
  keepalive = ProtoField.bool("iptun.keepalive", "Keepalive"),
  challenge_in = ProtoField.framenum("iptun.challenge_in", "Challenge in", base.NONE, frametype.RESPONSE),
  challenge_to = ProtoField.framenum("iptun.challenge_to", "Challenge to", base.NONE, frametype.REQUEST),
  again_in = ProtoField.framenum("iptun.again_in", "Sent again in"),
  again_of = ProtoField.framenum("iptun.again_of", "First sent in"),
  response_in = ProtoField.framenum("iptun.response_in", "Response in", base.NONE, frametype.RESPONSE),
  response_to = ProtoField.framenum("iptun.response_to", "Response to", base.NONE, frametype.REQUEST),
  response_time = ProtoField.relative_time("iptun.response_time", "Response time"),
  session = ProtoField.uint32("iptun.session", "Session"),
  direction = ProtoField.uint8("iptun.direction", "Direction", base.DEC, DIRECTIONS),
  init_in = ProtoField.framenum("iptun.init_in", "INIT of this session in"),
  resp_in = ProtoField.framenum("iptun.resp_in", "RESP of this session in"),
}

local function fault(name, text)
  return ProtoExpert.new("iptun." .. name, text, expert.group.MALFORMED, expert.severity.ERROR)
end

local experts = {
  short = fault("short", "Too short for an iptun message"),
  length = fault("wrong_length", "Wrong length for this message"),
  unknown = ProtoExpert.new(
    "iptun.unknown", "Unknown type or version", expert.group.UNDECODED, expert.severity.WARN),
  zero = fault("not_zero", "Bytes that must be zero are not"),
  counter = fault("counter_limit", "Counter of 2^48 or more: the receiver drops it unread"),
  cut = ProtoExpert.new(
    "iptun.cut", "The capture has only the beginning", expert.group.UNDECODED, expert.severity.NOTE),
}

iptun.fields = fields
iptun.experts = experts
iptun.prefs.port = Pref.uint("UDP port", DEFAULT_PORT, "Datagrams of this port are iptun's; 0: only those that look like it")

-- Fields in order with their sizes; what follows DATA's are ciphertext and tag.
local LAYOUTS = {
  [TYPE.INIT] = {
    { "type", 1 }, { "version", 1 }, { "hint", 2 }, { "sender_index", 4 }, { "ephemeral", 32 },
    { "sealed", 48, "stamp, node id, capabilities, tunnel MTU, keepalive" }, { "cookie_mac", 16 }, { "mac", 16 },
  },
  [TYPE.RESP] = {
    { "type", 1 }, { "version", 1 }, { "zero", 2 }, { "sender_index", 4 }, { "receiver_index", 4 }, { "ephemeral", 32 },
    { "sealed", 48, "indices, node id, capabilities, tunnel MTU, keepalive" }, { "mac", 16 },
  },
  [TYPE.CHALLENGE] = {
    { "type", 1 }, { "version", 1 }, { "zero", 2 }, { "receiver_index", 4 }, { "nonce", 24 }, { "sealed", 32, "cookie" },
  },
  [TYPE.DATA] = {
    { "type", 1 }, { "version", 1 }, { "zero", 2 }, { "receiver_index", 4 }, { "counter", 8 },
  },
}
local TAG_BYTES = 16
local BYTES, OFFSET = {}, {}
for kind, layout in pairs(LAYOUTS) do
  local at = 0
  OFFSET[kind] = {}
  for _, entry in ipairs(layout) do
    OFFSET[kind][entry[1]] = at
    at = at + entry[2]
  end
  BYTES[kind] = at
end

-- What the frames of this capture have told. `records` has each frame's part, made when it is first seen.
local records, inits, receivers, sessions

function iptun.init()
  records, inits, receivers, sessions = {}, {}, {}, 0
end

local function value(tvb, kind, name, bytes)
  return tvb(OFFSET[kind][name], bytes):le_uint()
end

local function hex(tvb, kind, name, bytes)
  return tvb(OFFSET[kind][name], bytes):bytes():tohex()
end

local function remember(lists, index, user)
  local list = lists[index] or {}
  lists[index] = list
  list[#list + 1] = user
  if #list > USERS_OF_AN_INDEX then table.remove(list, 1) end
end

local function source_of(pinfo) return tostring(pinfo.net_src) .. " " .. pinfo.src_port end
local function target_of(pinfo) return tostring(pinfo.net_dst) .. " " .. pinfo.dst_port end

-- The newest user of an index whose host the message goes to; where there is none, it moved: the newest.
local function user_of(lists, index, pinfo)
  local list = lists[index]
  if list == nil then return nil end
  if #list == 1 then return list[1] end
  local target = target_of(pinfo)
  for at = #list, 1, -1 do
    if list[at].owner == target then return list[at] end
  end
  return list[#list]
end

local learn = {
  -- The same ephemeral again is a copy, or the INIT with the cookie that a CHALLENGE asked for.
  [TYPE.INIT] = function(tvb, pinfo)
    local index = value(tvb, TYPE.INIT, "sender_index", 4)
    local ephemeral = hex(tvb, TYPE.INIT, "ephemeral", 32)
    local init = { frame = pinfo.number, time = pinfo.rel_ts, owner = source_of(pinfo) }
    init.index, init.ephemeral, init.sessions = index, ephemeral, {}
    for _, earlier in ipairs(inits[index] or {}) do
      if earlier.ephemeral == ephemeral then
        init.again_of = earlier.again_of or earlier
        earlier.again_in = earlier.again_in or init.frame
      end
    end
    remember(inits, index, init)
    return { init = init }
  end,

  [TYPE.RESP] = function(tvb, pinfo)
    local index = value(tvb, TYPE.RESP, "sender_index", 4)
    local init = user_of(inits, value(tvb, TYPE.RESP, "receiver_index", 4), pinfo)
    if init == nil then return {} end
    init.answer = init.answer or pinfo.number
    local handshake, mac = init.again_of or init, hex(tvb, TYPE.RESP, "mac", 16)
    local session = handshake.sessions[mac]
    if session == nil then
      sessions = sessions + 1
      session = { number = sessions, init = init.frame, resp = pinfo.number }
      handshake.sessions[mac] = session
      handshake.session = handshake.session or session
      remember(receivers, index, { session = session, direction = 1, owner = source_of(pinfo) })
      remember(receivers, init.index, { session = session, direction = 2, owner = init.owner })
    end
    return { answers = init, elapsed = pinfo.rel_ts - init.time, session = session }
  end,

  [TYPE.CHALLENGE] = function(tvb, pinfo)
    local init = user_of(inits, value(tvb, TYPE.CHALLENGE, "receiver_index", 4), pinfo)
    if init == nil then return {} end
    init.challenge = init.challenge or pinfo.number
    return { challenges = init, elapsed = pinfo.rel_ts - init.time }
  end,

  [TYPE.DATA] = function(tvb, pinfo)
    return user_of(receivers, value(tvb, TYPE.DATA, "receiver_index", 4), pinfo) or {}
  end,
}

local function link(tree, field, content)
  if content ~= nil then tree:add(field, content):set_generated() end
end

local function duration(seconds)
  local whole = math.floor(seconds)
  return NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))
end

local function show_links(tree, record)
  local init = record.init
  if init ~= nil then
    local session = (init.again_of or init).session
    link(tree, fields.again_of, init.again_of and init.again_of.frame)
    link(tree, fields.challenge_in, init.challenge)
    link(tree, fields.again_in, init.again_in)
    link(tree, fields.response_in, init.answer)
    link(tree, fields.session, session and session.number)
    return
  end
  link(tree, fields.challenge_to, record.challenges and record.challenges.frame)
  link(tree, fields.response_to, record.answers and record.answers.frame)
  link(tree, fields.response_time, record.elapsed and duration(record.elapsed))
  local session = record.session
  if session == nil then return end
  link(tree, fields.session, session.number)
  if record.direction ~= nil then
    link(tree, fields.direction, record.direction)
    link(tree, fields.init_in, session.init)
    link(tree, fields.resp_in, session.resp)
  end
end

-- Adds the fields that the capture has; false: it ends before the last of them.
local function show_fields(tvb, tree, kind)
  local at, captured = 0, tvb:len()
  for _, entry in ipairs(LAYOUTS[kind]) do
    local name, size, meaning = entry[1], entry[2], entry[3]
    if at + size > captured then return false end
    local item = tree:add_le(fields[name], tvb(at, size))
    if meaning ~= nil then item:append_text(" (" .. meaning .. ")") end
    if name == "zero" and tvb(at, size):uint() ~= 0 then item:add_proto_expert_info(experts.zero) end
    if name == "counter" and tvb(at + 6, 2):uint() ~= 0 then item:add_proto_expert_info(experts.counter) end
    at = at + size
  end
  return true
end

-- Ciphertext and tag; false: the capture ends before them.
local function show_sealed_packet(tvb, tree, whole)
  local header = BYTES[TYPE.DATA]
  local inner = whole - header - TAG_BYTES
  link(tree, fields.inner_length, inner)
  if inner == 0 then link(tree, fields.keepalive, true) end
  if tvb:len() < whole then return false end
  if inner > 0 then tree:add(fields.ciphertext, tvb(header, inner)) end
  tree:add(fields.tag, tvb(header + inner, TAG_BYTES))
  return true
end

local function is_whole(kind, bytes)
  if kind == TYPE.DATA then return bytes >= BYTES[kind] + TAG_BYTES end
  return bytes == BYTES[kind]
end

-- Whether the bytes that must be zero are.
local function is_clean(tvb, kind)
  if kind == TYPE.DATA and tvb(14, 2):uint() ~= 0 then return false end
  return kind == TYPE.INIT or tvb(2, 2):uint() == 0
end

local function summary(tvb, kind, whole)
  local text = { TYPE_NAMES[kind] }
  local function index(name, label)
    local at = OFFSET[kind][name]
    if at ~= nil and at + 4 <= tvb:len() then
      text[#text + 1] = string.format("%s=0x%08x", label, tvb(at, 4):le_uint())
    end
  end
  index("sender_index", "sender")
  index("receiver_index", "receiver")
  if kind == TYPE.DATA and tvb:len() >= BYTES[kind] then
    text[#text + 1] = "counter=" .. tostring(tvb(8, 8):le_uint64())
    local inner = whole - BYTES[kind] - TAG_BYTES
    if inner >= 0 then text[#text + 1] = inner == 0 and "keepalive" or inner .. " bytes" end
  end
  return table.concat(text, " ")
end

local function dissect_known(tvb, pinfo, tree, kind)
  local whole = tvb:reported_len()
  local has_all = show_fields(tvb, tree, kind)
  if is_whole(kind, whole) then
    if kind == TYPE.DATA and has_all then has_all = show_sealed_packet(tvb, tree, whole) end
    if not has_all then tree:add_proto_expert_info(experts.cut) end
    local can_learn = tvb:len() >= BYTES[kind] and is_clean(tvb, kind) and not pinfo.in_error_pkt
    if can_learn and not pinfo.visited then records[pinfo.number] = learn[kind](tvb, pinfo) end
    if can_learn then show_links(tree, records[pinfo.number] or {}) end
  else
    local text = string.format("%s of %d bytes", TYPE_NAMES[kind], whole)
    tree:add_proto_expert_info(experts.length, text)
  end
  pinfo.cols.info = summary(tvb, kind, whole)
end

-- Strict, for it is asked about every datagram of every port.
local function is_iptun(tvb)
  if tvb:len() < BYTES[TYPE.DATA] then return false end
  local kind = tvb(0, 1):uint()
  if LAYOUTS[kind] == nil or tvb(1, 1):uint() ~= VERSION then return false end
  if not is_whole(kind, tvb:reported_len()) or not is_clean(tvb, kind) then return false end
  return kind ~= TYPE.INIT or tvb(4, 4):le_uint() ~= STUN_COOKIE
end

function iptun.dissector(tvb, pinfo, root)
  pinfo.cols.protocol = "iptun"
  local tree = root:add(iptun, tvb())
  if tvb:len() < 2 then
    tree:add_proto_expert_info(tvb:reported_len() < 2 and experts.short or experts.cut)
    pinfo.cols.info = "Too short to be told"
    return tvb:len()
  end
  local kind, version = tvb(0, 1):uint(), tvb(1, 1):uint()
  if LAYOUTS[kind] == nil or version ~= VERSION then
    tree:add(fields.type, tvb(0, 1))
    tree:add(fields.version, tvb(1, 1))
    tree:add_proto_expert_info(experts.unknown)
    pinfo.cols.info = string.format("Unknown type %d, version %d", kind, version)
    return tvb:len()
  end
  tree:append_text(", " .. TYPE_NAMES[kind])
  dissect_known(tvb, pinfo, tree, kind)
  -- From here on the conversation is iptun's, with what is broken in it, in both directions.
  if not pinfo.visited and not pinfo.in_error_pkt and is_iptun(tvb) then pinfo.conversation = iptun end
  return tvb:len()
end

iptun:register_heuristic("udp", function(tvb, pinfo, tree)
  if not is_iptun(tvb) then return false end
  iptun.dissector(tvb, pinfo, tree)
  return true
end)

-- The port of the preference. What another dissector had there keeps the datagrams that do not begin like ours: by
-- default that is OpenVPN, none of whose messages begins with 1 to 4.
local udp_port = DissectorTable.get("udp.port")
local own_port, others

local at_port = Proto("iptun_port", "iptun at its port")

function at_port.dissector(tvb, pinfo, root)
  local is_ours = tvb:len() == 0 or LAYOUTS[tvb(0, 1):uint()] ~= nil
  if is_ours or others == nil then return iptun.dissector(tvb, pinfo, root) end
  return others:call(tvb, pinfo, root)
end

local function take_port()
  if own_port == iptun.prefs.port then return end
  if own_port ~= nil then
    udp_port:remove(own_port, at_port)
    if others ~= nil then udp_port:add(own_port, others) end
  end
  own_port, others = nil, nil
  if iptun.prefs.port == 0 then return end
  own_port = iptun.prefs.port
  others = udp_port:get_dissector(own_port)
  udp_port:add(own_port, at_port)
end

iptun.prefs_changed = take_port
take_port()
udp_port:add_for_decode_as(iptun)
